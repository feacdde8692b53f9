"""One worker process.

`lifecycle` starts it, `app` is the Faust application, `bootstrap` wires the components. The agents are thin:
`event_processor` processes a user event, `reward_attributor` attributes it to a list, `replica` folds the logs into
the models, `table_recovery` and `list_recovery` restore the users table and the published lists after an assignment,
`policy_controller` follows the policy assignment. Faust is imported only by `app`, `process`, `table_recovery` and
the adapters `faust_transport` and `faust_monitor`; the import contracts in pyproject.toml list them.
"""
