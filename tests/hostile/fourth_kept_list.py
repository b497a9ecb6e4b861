"""Lines of compilers, trainers and installers that look like secrets, and must stay as they are."""

from __future__ import annotations

KEPT = r"""
triton: cache hit for key 9c1f0b27d4e85a63f1b09c7e2d4a6850e93b71c2d5f8a0647e1c3b5d7f902a4c (num_warps=4)
fxgraph cache key fabc7n2kq5x3wz6m4t7yh2u5rj8p3s6vd4g7b2n5c8x3z6q4w7
inductor artifact key: 7f3a1c9e5b2d8046af13c79e5b2d80467f3a1c9e5b2d80467f3a1c9e5b2d8046
Kernel key 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 compiled in 3.1 s
image (base64): iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
weights_b64 = 'AACAPwAAAEAAAEBAAACAQAAAoEAAAMBAAADgQAAAAEEAABBBAAAgQQAAMEEAAEBBAABQQQ=='
ndarray dtype=float32 b64: zczMPc3MTD6amZk+zczMPgAAAD+amRk/MzMzP83MTD9mZmY/AACAP83MjD+amZk/
HEAD is now at 3f1c9a7 Fix SDPA dispatch for sm_120
Resolved commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904 of ultralytics
sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  flash_attn-2.8.3.whl
torch-2.9.1+cu128-cp312-cp312-manylinux_2_28_x86_64.whl#sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0ca4d6c2a5e1f4d8c3b7a9
--hash=sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
RECORD: torch/lib/libc10.so,sha256=Zk3pQ9vN2mX7bL1rT5yW8cH4dJ6gF0sA-uE_iOxKqPw,1204512
undefined symbol: _ZNK3c1010TensorImpl27throw_data_ptr_access_errorEv
_ZN2at4_ops19scaled_dot_product4callERKNS_6TensorES4_S4_
flash_fwd_splitkv_hdim256_bf16_causal_sm80
pad_token_id=151643 eos_token_id=151645 bos_token=<|endoftext|>
special tokens have been added in the vocabulary, make sure the associated word embeddings are fine-tuned
Token indices sequence length is longer than the specified maximum sequence length (812 > 512)
max_new_tokens=256 prompt_tokens=812 completion_tokens=120
tokenizer.json: 2.11MB, vocab 151936
The attention mask and the pad token id were not set
numpy==1.26.4 ; python_version >= "3.10"
nvidia-cudnn-cu12==9.10.2.21; platform_system == "Linux"
pip 24.3.1 from /usr/lib/python3/dist-packages/pip (python 3.12)
CUDA Version: 12.8 Driver Version: 570.86.15
NVIDIA-SMI 570.86.15
key_padding_mask must be BoolTensor
query, key and value must have the same dtype, got float16, float32
KeyError: 'model.22.cv3.2.2.weight'
missing keys: ['model.0.attn.qkv.weight']
Client('127.0.0.1:8786')
SentenceTransformer("all-MiniLM-L6-v2")
InferenceClient("meta-llama/Llama-3.1-8B-Instruct")
YOLO("yolo12n.pt").train(data="coco8.yaml", epochs=3, imgsz=640)
Session("inference_2024_run")
RTDETR('rtdetr-l.pt')
torch.load("best.pt", map_location="cuda:0")
dist.init_process_group("nccl", init_method="env://")
socket.connect(('127.0.0.1', 29500))
login with ssh keys is faster than with passwords
use Python 3.12 to log in to the notebook
log in with your browser and accept the licence
unlock the GPU clocks with nvidia-smi -rgc
the password prompt is shown twice in screen 2
User interrupted the run at step 812
User Guide of cuDNN 9.10
user nginx;
ALL = (1, 2, 3)
* main 3f1c9a7 [origin/main] fix
r812 | a change of the loader
set the batch size to 16 and the image size to 640
Name: torch
Name: flash-attn
Owner = "root"
/work/runs/exp12/weights/best.pt
/opt/conda/envs/torch2.9/lib/python3.12/site-packages
/opt/nvidia/nsight-compute/2025.1.0/host/linux-desktop-glibc_2_11_3-x64
/usr/local/cuda-12.8/targets/x86_64-linux/lib/libcudart.so.12
/data/coco/images/train2017/000000000009.jpg
/scratch/datasets/imagenet.train/n01440764/x.JPEG
/usr/share/people.txt is missing
code: 700, error: an illegal memory access was encountered
exit code 137 (killed)
error code: 0x80070005
return code is 139
PRAGMA foreign_keys=ON;
PRAGMA journal_mode = WAL
SIGNAL=SIGSEGV sig=11 addr=0x0
FEATURE matrix of PyTorch 2.9 and CUDA 12.8
conda install -p /opt/env pytorch=2.9
helm install -f values.yaml x
pytest -p no:cacheprovider -x
docker run -p 8888:8888 x
cmake -DCMAKE_CUDA_ARCHITECTURES=90 -DPython_EXECUTABLE=/usr/bin/python3
-DUSE_FLASH_ATTENTION=ON
the device is now offline
List of devices: cuda:0, cuda:1
0: device 3 fastboot off
MEMBER: 1/8
0.25  812  ready
gpu  : gpu is busy
* * * * * python3 /srv/poll.py
0 3 * * * /usr/bin/nvidia-smi
events.out.tfevents.1764500000.0
/dev/nvidia0: No such file
Loading weights from /models/resnet50 v2.1 Final
/models/yolo12n.pt FP16 Engine1
https://pypi.org/simple torch 2.9.1
Attaching to process 8812 on cuda
passed 812 tests, password not needed
mask is 0x3F and key is 0x1F
hash key 42 -> bucket 7
Hash for nvidia-cusparse-cu12 (12.1.0.106) from archive nvidia_cusparse_cu12-12.1.0.106-py3-none-manylinux1_x86_64.whl not found in known hashes
nvidia-curand-cu12 (10.3.5.147) is installed
== mamba-driver on docker-forward-compatibility-804
file created by yolo12
"""
