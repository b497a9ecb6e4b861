"""List names that a release of a widely used package lost, or got only later, with the releases that cure the error. Pure.

A row is a fact about one package: "huggingface-hub 0.26 removed cached_download". Its source is a changelog, an issue, or the two releases
beside each other.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Row(NamedTuple):
    """Hold a name, its module, and the releases that have it."""

    module: str  # "huggingface_hub"
    names: tuple[str, ...]  # in that module; if `whole`, modules below it
    package: str  # the distribution that must change: "huggingface-hub"
    has: str  # the releases that have the name, as a requirement without the package: "<0.26"; for torch ">=2.4"
    whole: bool = False  # the error is "No module named 'MODULE.NAME'"


_SPCONV = (
    "SparseConv2d", "SparseConv3d", "SubMConv2d", "SubMConv3d", "SparseInverseConv2d", "SparseInverseConv3d", "SparseModule", "SparseSequential",
    "SparseConvTensor", "SparseMaxPool3d", "ToDense",
)  # fmt: skip
# The names of transformers were looked up in its releases 4.38.2, 4.39.0, 4.46.3, 4.47.0, 4.49.0, 4.50.0, 4.51.0, 4.53.3, 4.54.0, 4.55.0, 4.56.0,
# 4.57.1 and 5.0.0, those of huggingface-hub in 0.23.5, 0.24.0, 0.25.2, 0.26.0, 0.27.0 and 1.0.0.
ROWS = (
    Row("huggingface_hub", ("cached_download",), "huggingface-hub", "<0.26"),
    Row("huggingface_hub", ("ModelFilter",), "huggingface-hub", "<0.24"),
    Row("huggingface_hub", ("HfFolder", "Repository"), "huggingface-hub", "<1"),
    Row("huggingface_hub", ("DDUFEntry",), "huggingface-hub", ">=0.27"),
    Row("huggingface_hub", ("split_torch_state_dict_into_shards",), "huggingface-hub", ">=0.23"),
    Row("transformers.modeling_utils", ("shard_checkpoint",), "transformers", "<4.47"),
    Row("transformers", ("top_k_top_p_filtering",), "transformers", "<4.39"),
    Row("transformers", ("AdamW",), "transformers", "<4.50"),
    Row("transformers", ("is_torch_tpu_available",), "transformers", "<4.51"),
    Row("transformers.modeling_utils", ("apply_chunking_to_forward", "find_pruneable_heads_and_indices", "prune_linear_layer"), "transformers", "<4.56"),
    Row("transformers.pytorch_utils", ("find_pruneable_heads_and_indices",), "transformers", "<5"),
    Row("transformers", ("HybridCache", "SlidingWindowCache", "AutoModelForVision2Seq", "is_tf_available"), "transformers", "<5"),
    Row("transformers.cache_utils", ("HybridCache", "SlidingWindowCache"), "transformers", "<5"),
    Row("transformers.utils", ("is_torch_fx_available", "is_tf_available", "is_safetensors_available", "TRANSFORMERS_CACHE"), "transformers", "<5"),
    Row("transformers.utils.import_utils", ("is_torch_fx_available",), "transformers", "<5"),
    Row("transformers.utils", ("LossKwargs",), "transformers", ">=4.47,<4.54"),
    # https://pytorch.org/docs/stable/index.html: the first release whose documentation has the name.
    Row("torch.library", ("custom_op", "register_autograd", "register_fake"), "torch", ">=2.4"),
    Row("torch.library", ("triton_op", "wrap_triton"), "torch", ">=2.6"),
    Row("torch.amp", ("GradScaler",), "torch", ">=2.3"),
    Row("torch.amp", ("custom_fwd", "custom_bwd"), "torch", ">=2.4"),
    Row("torch", ("xpu", "uint16", "uint32", "uint64", "get_default_device"), "torch", ">=2.3"),
    Row("torch", ("int1",), "torch", ">=2.6"),
    Row("torch", ("float8_e4m3fn", "float8_e5m2", "compiler"), "torch", ">=2.1"),
    Row("torch", ("float8_e8m0fnu",), "torch", ">=2.7"),
    Row("torch", ("float4_e2m1fn_x2",), "torch", ">=2.8"),
    Row("torch", ("compile", "vmap"), "torch", ">=2.0"),
    Row("torch.utils._pytree", ("register_pytree_node",), "torch", ">=2.2"),
    Row("torch.serialization", ("add_safe_globals",), "torch", ">=2.4"),
    Row("torch.nn", ("RMSNorm",), "torch", ">=2.4"),
    Row("torch.nn.functional", ("scaled_dot_product_attention",), "torch", ">=2.0"),
    Row("torch.distributed.tensor", ("DTensor",), "torch", ">=2.5"),
    Row("torch.nn.attention", ("SDPBackend", "sdpa_kernel"), "torch", ">=2.3"),
    Row("torch.nn", ("attention",), "torch", ">=2.3", whole=True),
    Row("torch.nn.attention", ("flex_attention",), "torch", ">=2.5", whole=True),
    Row("torch", ("_dynamo", "_inductor"), "torch", ">=2.0", whole=True),
    Row("torch", ("compiler",), "torch", ">=2.1", whole=True),
    # https://github.com/pytorch/pytorch/pull/94709 (torch 2.0), https://github.com/deepspeedai/DeepSpeed/pull/5769 (torch 2.4)
    Row("torch", ("_six",), "torch", "<2", whole=True),
    Row("torch._six", ("inf", "string_classes", "container_abcs", "int_classes"), "torch", "<2"),
    Row("torch.distributed.elastic.agent.server.api", ("log",), "torch", "<2.4"),
    # https://github.com/pytorch/vision/issues/8239, https://github.com/pytorch/audio/issues/3902
    Row("torchvision.transforms", ("functional_tensor",), "torchvision", "<0.17", whole=True),
    Row("torchvision.transforms", ("v2",), "torchvision", ">=0.15", whole=True),
    Row("torchvision", ("tv_tensors",), "torchvision", ">=0.16", whole=True),
    Row("torchvision.models", ("utils",), "torchvision", "<0.13", whole=True),
    # https://github.com/pytorch/vision/releases/tag/v0.16.0 (datapoints became tv_tensors), https://github.com/pytorch/vision/issues/7896,
    # https://github.com/lyuwenyu/RT-DETR/pull/681 (get_spatial_size became get_size), https://github.com/facebookresearch/detr/pull/404
    Row("torchvision", ("datapoints", "disable_beta_transforms_warning"), "torchvision", ">=0.15,<0.16"),
    Row("torchvision", ("datapoints",), "torchvision", ">=0.15,<0.16", whole=True),
    Row("torchvision.transforms.v2.functional", ("get_spatial_size",), "torchvision", "<0.16"),
    Row("torchvision.ops", ("_new_empty_tensor",), "torchvision", "<0.10"),
    Row("torchvision.ops.misc", ("_output_size", "_NewEmptyTensorOp"), "torchvision", "<0.10"),
    Row("torchaudio", ("list_audio_backends", "AudioMetaData", "info", "set_audio_backend", "get_audio_backend"), "torchaudio", "<2.9"),
    # https://github.com/SHI-Labs/NATTEN/issues/271, https://github.com/SHI-Labs/StyleNAT/issues/15
    Row("natten.functional", ("natten2dav", "natten2dqkrpb", "natten2dqk", "natten1dav", "natten1dqkrpb"), "natten", "<0.20"),
    Row("natten", ("has_fused_na", "use_fused_na", "enable_fused_na", "disable_fused_na"), "natten", ">=0.17,<0.20"),
    # https://github.com/huggingface/pytorch-image-models/issues/1648 (0.8 was published as pre-releases only)
    Row("timm", ("layers",), "timm", ">=0.9", whole=True),
    # openvino.runtime: in the wheels of 2022.1 and 2025.4.1, not in 2026.1. openvino.inference_engine: in 2023.3, not in 2024.0.
    # https://docs.openvino.ai/2025/about-openvino/release-notes-openvino.html ("openvino.runtime ... will be removed in 2026.0"), releases 2022.1 and 2024.0
    Row("openvino", ("runtime",), "openvino", ">=2022.1,<2026", whole=True),
    Row("openvino", ("inference_engine",), "openvino", "<2024", whole=True),
    # https://github.com/onnx/onnx/issues/7257, https://github.com/onnx/onnx/issues/7596
    Row("onnx", ("mapping",), "onnx", "<1.19", whole=True),
    Row("onnx.helper", ("float32_to_bfloat16",), "onnx", "<1.20"),
    # https://github.com/jax-ml/ml_dtypes/blob/main/CHANGELOG.md: 0.5.0
    Row("ml_dtypes", ("float4_e2m1fn", "float8_e8m0fnu", "float8_e3m4", "float8_e4m3"), "ml-dtypes", ">=0.5"),
    # https://numpy.org/doc/stable/release/1.24.0-notes.html#expired-deprecations, .../1.25.0-notes.html (exceptions and dtypes)
    Row("numpy", ("bool", "int", "float", "object", "complex", "str", "long", "unicode", "typeDict"), "numpy", "<1.24"),
    Row("numpy", ("Inf", "float_", "NaN", "unicode_", "string_", "product", "infty", "asfarray", "cumproduct"), "numpy", "<2"),
    Row("numpy", ("dtypes", "exceptions"), "numpy", ">=1.25"),
    Row("numpy", ("exceptions", "dtypes"), "numpy", ">=1.25", whole=True),
    # https://protobuf.dev/support/migration/, https://github.com/onnx/onnx/issues/6210 (runtime_version), protobuf 3.20 (builder)
    Row("google.protobuf", ("runtime_version",), "protobuf", ">=5.26"),
    Row("google.protobuf.internal", ("builder",), "protobuf", ">=3.20"),
    Row("google.protobuf", ("service_reflection",), "protobuf", "<6"),
    # https://pillow.readthedocs.io/en/stable/releasenotes/10.0.0.html
    Row("PIL.Image", ("ANTIALIAS", "LINEAR", "CUBIC"), "pillow", "<10"),
    Row("PIL", ("PILLOW_VERSION",), "pillow", "<7"),
    # https://docs.scipy.org/doc/scipy/release/1.14.0-notes.html, .../1.13.0-notes.html
    Row("scipy.integrate", ("simps", "trapz", "cumtrapz"), "scipy", "<1.14"),
    Row("scipy.linalg", ("triu", "tril"), "scipy", "<1.13"),
    Row("scipy.signal", ("gaussian", "hann", "hamming", "kaiser"), "scipy", "<1.13"),
    # https://github.com/Lightning-AI/torchmetrics/issues/1989, https://lightning.ai/docs/pytorch/stable/upgrade/migration_guide.html
    Row("torchmetrics.utilities.imports", ("_compare_version",), "torchmetrics", "<1"),
    Row("pytorch_lightning.utilities", ("distributed", "seed"), "pytorch-lightning", "<2", whole=True),
    Row("pytorch_lightning", ("metrics",), "pytorch-lightning", "<1.5", whole=True),
    # https://mmcv.readthedocs.io/en/latest/compatibility.html: what mmcv 1.x had is in mmengine since mmcv 2.0.
    Row("mmcv", ("runner", "parallel", "engine"), "mmcv", "<2", whole=True),
    Row("mmcv", ("Config", "DictAction", "ProgressBar"), "mmcv", "<2"),
    Row("mmcv.utils", ("Registry", "build_from_cfg", "Config", "get_logger"), "mmcv", "<2"),
    # https://github.com/traveller59/spconv/blob/master/docs/SPCONV_2_BREAKING_CHANGEs.md: spconv 2 has the layers in spconv.pytorch
    Row("spconv", _SPCONV, "spconv", "<2"),
    Row("spconv.utils", ("VoxelGenerator", "VoxelGeneratorV2"), "spconv", "<2"),
    # https://setuptools.pypa.io/en/stable/history.html: v70 stopped to bring `packaging` in pkg_resources.
    Row("pkg_resources", ("packaging",), "setuptools", "<70"),
    Row("distutils", ("version",), "setuptools", "<59.6"),
)  # fmt: skip


class Keyword(NamedTuple):
    """Hold an argument that a function of a package lost, or got only later."""

    function: str  # as Python names it in the error, without the class where older Pythons leave it out: "Accelerator.__init__"
    argument: str
    package: str
    has: str  # the releases whose function takes the argument


# The arguments were looked up in the releases on both sides of each bound: torch 1.10.2, 1.11, 2.0.1, 2.1, 2.2.2, 2.3, 2.4.1, 2.5, 2.6 and 2.7, httpx 0.27.2 and
# 0.28.0, accelerate 0.34.2 and 1.0.0, transformers 4.45.2 to 5.0.0. https://github.com/pytorch/pytorch/pull/147301 (verbose, torch 2.7)
KEYWORDS = (
    # https://github.com/huggingface/transformers/issues/34714
    Keyword("Accelerator.__init__", "dispatch_batches", "accelerate", "<1"),
    # https://github.com/huggingface/transformers/pull/30190 (eval_strategy; the warning names 4.46, and the argument is in 4.50.0 and not in 4.51.0),
    # https://github.com/huggingface/transformers/pull/32385 (processing_class; tokenizer is taken until 4.57)
    Keyword("TrainingArguments.__init__", "evaluation_strategy", "transformers", "<4.51"),
    Keyword("Seq2SeqTrainingArguments.__init__", "evaluation_strategy", "transformers", "<4.51"),
    Keyword("Trainer.__init__", "tokenizer", "transformers", "<5"),
    # https://github.com/encode/httpx/blob/master/CHANGELOG.md: 0.28.0
    Keyword("Client.__init__", "proxies", "httpx", "<0.28"),
    Keyword("AsyncClient.__init__", "proxies", "httpx", "<0.28"),
    Keyword("ReduceLROnPlateau.__init__", "verbose", "torch", "<2.7"),
    Keyword("scaled_dot_product_attention", "enable_gqa", "torch", ">=2.5"),
    Keyword("scaled_dot_product_attention", "scale", "torch", ">=2.1"),
    Keyword("meshgrid", "indexing", "torch", ">=1.10"),
    Keyword("interpolate", "antialias", "torch", ">=1.11"),
    Keyword("init_process_group", "device_id", "torch", ">=2.3"),
    # torch.load passes what it does not know to the unpickler.
    Keyword("UnpicklerWrapper.__init__", "mmap", "torch", ">=2.1"),
)


class Form(NamedTuple):
    """Hold one wording of the error for a row of the table: pattern, literal and sample of a Sign."""

    pattern: str
    literal: str
    sample: str


def forms(row: Row) -> tuple[Form, ...]:
    """Return the wordings in which Python reports that a module lacks the names of this row: two or three errors for each name."""
    module = re.escape(row.module)
    made: list[Form] = []
    for name in row.names:
        if row.whole:
            pattern = rf"No module named '?(?P<of>{module})\.(?P<moved>{re.escape(name)})(?=['\s]|$)"
            made.append(
                Form(pattern, f"{row.module}.{name}", f"ModuleNotFoundError: No module named '{row.module}.{name}'")
            )
        pattern = (
            rf"cannot import name '(?P<moved>{re.escape(name)})' from '(?P<of>{module})'(?! \(most likely)|"
            rf"module '(?P<of_it>{module})' has no attribute '(?P<lacks>{re.escape(name)})'"
        )
        made.append(
            Form(pattern, f"'{name}'", f"ImportError: cannot import name '{name}' from '{row.module}' (/v/x.py)")
        )
    return tuple(made)


def keyword_form(row: Keyword) -> Form:
    """Return the wording in which Python reports that a function does not take an argument. Before Python 3.10 it leaves the class out.

    So the short form `__init__()` counts only where the argument is rare enough to name the function by itself.
    """
    owner, _, method = row.function.rpartition(".")
    rare = row.argument in ("dispatch_batches", "evaluation_strategy", "mmap")
    name = (
        rf"(?:{re.escape(owner)}\.){'?' if rare or not owner else ''}{re.escape(method)}"
        if owner
        else re.escape(method)
    )
    pattern = rf"TypeError: {name}\(\) got an unexpected keyword argument '(?P<keyword>{re.escape(row.argument)})'"
    sample = f"TypeError: {row.function}() got an unexpected keyword argument '{row.argument}'"
    return Form(pattern, f"argument '{row.argument}'", sample)


def keyword_of(text: str) -> Keyword | None:
    """Return the row of the function and argument that a line of a log names; None if the table does not have them."""
    return next((row for row in KEYWORDS if re.search(keyword_form(row).pattern, text)), None)


def row_of(module: str, name: str, *, whole: bool) -> Row | None:
    """Return the row of a name that a module lacks; None if the table does not have it. `whole`: the name is a module."""
    named = [row for row in ROWS if row.module == module and name in row.names]
    return next((row for row in named if row.whole is whole), named[0] if named else None)
