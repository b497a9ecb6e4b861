"""Exchange the attention inside an installed ultralytics: the model computes it with another kernel.

`kernels` computes attention; `layers` puts a kernel into ultralytics and removes it. These files import nothing of attn_doctor
outside of this folder, because the trial sends their text to the target. The doctor's own process imports only `traits` and
`tolerance`: all others import torch.
"""
