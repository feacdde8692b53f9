"""The Faust agents: `users` handles user events, `catalog` checks catalog items.

An agent decodes, calls code that is independent of Faust, and forwards; only its declaration depends on Faust.
"""
