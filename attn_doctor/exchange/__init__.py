"""The exchange of attention inside an installed ultralytics: `kernels` computes, `layers` puts a kernel in and out.

Neither imports the other, nor anything else of attn_doctor: the trial runs their text inside the target. Never imported by
the doctor's own process: both import torch.
"""
