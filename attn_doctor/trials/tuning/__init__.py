"""`trial --tune`: the fastest right way to train and to predict on this machine, beyond attention.

`fitting` says which changes a machine can have, `bench` runs them side by side in processes of the target, `search` combines what helps,
`tuned` puts both together, `runtimes` measures what a model can be exported to, `loader_settings` chooses batch=, workers= and cache=,
`advice` makes the line to copy and the prescription.
"""
