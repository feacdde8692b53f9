"""What flows on Kafka.

One typed struct an event (`events`), the records Headrace itself writes (`records`), the catalog of
topics (`catalog`), the codec that turns raw bytes into a checked event or a reason for rejecting it
(`codec`), the documents generated from the structs (`documents`) and topic administration (`admin`).
Nothing here imports the other packages.
"""
