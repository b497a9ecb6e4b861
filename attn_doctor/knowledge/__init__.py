"""Answer questions about the world outside the machine, from tables with a source and a check date in each row.

The tables are the JSON files in `data/`; `tables` loads each one when it is needed, and checks its schema. Each other module
answers questions about one subject, such as `gpu`, `cuda`, `pytorch`, `flash_attention`, `wheels`, `finder`, `build`, `sdpa`,
`distributions`, `sonames`, and `cxx_names` for the names in binaries. No module examines the machine or changes anything. A version
number stands in a table; the few in the code have their source beside them.

A question of yes or no returns an `Answer` (with a sentence that gives the reason) or `Unknown(why)`. For a version that is newer
than a table the answer is unknown, never "no". Other questions return a value or a row, and Unknown or None if there is none.
"""
