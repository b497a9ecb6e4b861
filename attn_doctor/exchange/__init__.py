"""Exchange the attention inside an installed ultralytics.

`kernels` computes, `layers` puts a kernel in and takes it out. Neither imports the other, nor anything else of
attn_doctor: the trial runs their text inside the target. The doctor's own process never imports them, because both
import torch. `traits` and `tolerance` need no torch: the doctor imports them too.
"""
