"""One worker process.

`lifecycle` starts it, `app` is the Faust application, `bootstrap` wires the components. The agents are thin:
`event_processor` processes a user event, `reward_attributor` attributes it to a list, `replica` folds the logs into
the models, `list_recovery` restores the published lists after an assignment, `policy_controller` follows the policy
assignment. Faust is imported only by `app`, `agents` and the adapters `faust_transport`, `faust_monitor`,
`record_order` and `process`.
"""
