"""Exchange the attention inside an installed ultralytics: the model computes it with another kernel.

`kernels` computes attention; `layers` puts a kernel into ultralytics and removes it. They import nothing of attn_doctor outside
of this folder, because the trial runs their text inside the target. The doctor's own process never imports them, because both
import torch. `traits` and `tolerance` need no torch: the doctor imports them too.
"""
