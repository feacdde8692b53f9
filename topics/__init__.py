"""The contract on Kafka.

`events` has the structs of events, `records` those of Headrace's own records, `event_types` the table of user event
types, `catalog` the topics, `codec` the decoder that checks events, `schema_documents` the published schemas.
`admin`, `topic_checks`, `consumer_groups`, `broker_clock` and `broker_client` administer topics on a broker. This
package imports no other package.
"""
