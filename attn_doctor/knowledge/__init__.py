"""Answer questions about the world outside the machine, from tables with a source and a check date in each row.

The tables are the JSON files in `data/`; `tables` loads them, on demand and strictly. The other modules answer
questions, one module for each subject, without side effects: `gpu`, `cuda`, `pytorch`, `flash_attention`, `wheels`, `finder`, `build`,
`sdpa`, `distributions`, `sonames`, and `cxx_names` for the names in binaries. None of them examines the
machine, and no version number is written in their code.

A question returns an `Answer` (yes or no, with a sentence that gives the reason) or `Unknown(why)`. A version that is
newer than a table is unknown, never unsupported.
"""
