"""Define the signs of a person who asks in a log why the GPU is not used. Pure.

The words are in the group `wish` of each pattern.
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Sign

# A person asks why the GPU is not used. Each part is of one language.
_WISHED = (
    (
        "gpu",
        r"(?:instead of|rather than|not|n't|never|without|how (?:can|do|could|should|to)\b.{0,12}) ?(?:using |use |used |run on |running on |detecting |detect )?(?:it |them )?(?:on )?(?:my |the |a |our )gpu",
    ),
    (
        "GPU",
        r"(?:instead of|rather than|not|n't|never|how (?:can|do|could|should|to)\b.{0,12}) ?(?:using |use |used |run on |running on |detecting |detect )?(?:it |them )?(?:on )?(?:my |the |a |our |)GPU",
    ),
    ("GPU", r"(?:没有?|不|未|无法|不能|怎么|如何)(?:能)?(?:使用|调用|用|走|识别)(?:到)?(?:我的)?\s?GPU"),
    ("GPU", r"GPU\s?(?:没有|不能|无法|未)(?:被)?(?:使用|调用|用)"),
    ("GPU", r"(?:не (?:использует|видит|задействует)|вместо) GPU"),
    ("GPU", r"(?:(?:nutzt|verwendet|benutzt) (?:die )?GPU nicht|statt (?:der|auf der) GPU)"),
    ("GPU", r"GPU(?:를|을|가) (?:사용하지|안 쓰|인식하지|쓰지)"),
    ("GPU", r"GPU[がを](?:使われ|使用され|認識され|使わ)な"),
    ("GPU", r"(?:no (?:usa|utiliza|detecta)|en (?:vez|lugar) de) (?:la |mi )?GPU"),
)
SIGNS = tuple(
    Sign(
        pattern=f"(?P<wish>{pattern})",
        literal=literal,
        sample=sample,
        strength="context",
    )
    for (literal, pattern), sample in zip(
        _WISHED,
        (
            "training runs on the CPU instead of my gpu",
            "It does not use the GPU, only the CPU.",
            "为什么训练没有使用GPU",
            "GPU没有被使用",
            "Обучение не использует GPU",
            "Das Training nutzt die GPU nicht",
            "GPU를 사용하지 않아요",
            "GPUが使われない",
            "El entrenamiento no usa la GPU",
        ),
        strict=True,
    )
)
