"""`featcli serve`: a local web page for building pipelines and viewing their results.

`access` checks who may send requests, `server` handles HTTP with limits, `answers` turns requests
into calls of `workshop`, which computes results and keeps pictures, results and models in caches
(`shelf`); `reading` parses the steps of a request without opening files, `freeing` returns memory
to the system, `texts` writes a pipeline as a command and as Python,
and `page` builds the page.

The state of a user's work is in the page, not in the server: any number of tabs may be open.
"""
