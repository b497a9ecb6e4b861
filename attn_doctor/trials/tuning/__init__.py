"""Find the fastest right way to train and to predict on this machine, beyond attention: `trial --tune`.

`fitting` chooses the changes that fit the machine, `bench` runs them side by side in processes of the target, `search` combines
the changes that help, `tuned` uses these three, `runtimes` measures the runtimes to which a model can be exported,
`loader_settings` chooses batch=, workers= and cache=, `advice` makes the command to copy and the prescription.
"""
