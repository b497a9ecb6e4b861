"""What is known of the world outside the machine: tables with a source and a check date a row, and questions asked of them.

The tables are the JSON files in `data/`; `tables` loads them, on demand and strictly. The other modules hold the pure
questions, one module a subject: `gpu`, `cuda`, `pytorch`, `flash_attention`, `wheels`, `finder`, `build`, `sdpa`,
`distributions`, `bugs`, `sonames`, and `dated` with `demangle` for the names in binaries. None of them looks at the machine, and no version number stands in their code.

A question answers an `Answer` (yes or no, and the sentence why) or `Unknown(why)`. What is newer than a table is
unknown to it, never unsupported.
"""
