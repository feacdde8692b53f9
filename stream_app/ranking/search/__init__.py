"""The order of search results, and what users choose after a query."""
