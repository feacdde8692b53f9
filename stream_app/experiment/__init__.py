"""Live policies on the lists of users, and their comparison: an experimentation platform.

Pure: no clock, no Kafka. `control` folds the assignments on the topic ``control``, `assignment` gives each user a
policy, `policy_features` computes the features of candidates from `item_rates` and `ignored_impressions`,
`feature_rows` packs them for the log, and `live_policies` chooses lists and learns from rewards. `comparison` has the
metrics of each policy, `confidence_sequence` their intervals, and `guardrail` finds the policies to pause.
"""
