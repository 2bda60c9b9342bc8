"""Which PEFT types, LoRA config fields and LoRA inits are served."""

from __future__ import annotations

# fmt: off
PLAIN_LORA_FIELDS = frozenset({
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying",
    "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights",
    "layers_pattern", "layers_to_transform", "loftq_config", "lora_alpha", "lora_dropout",
    "lora_ga_config", "megatron_core", "peft_type", "peft_version", "qalora_group_size", "r",
    "rank_pattern", "revision", "runtime_config", "target_modules", "task_type", "use_rslora",
})
"""LoRA config fields with which an update is B·A for every value (an init's config matters with its init)."""
MERGED_LORA_FIELDS = frozenset({
    "bias", "kasa_config", "lora_bias", "modules_to_save", "target_parameters", "trainable_token_indices",
    "use_dora",
})
"""LoRA config fields that make an update more than B·A, but still a change of weights."""
ADALORA_FIELDS = frozenset({
    "beta1", "beta2", "deltaT", "init_r", "orth_reg_weight", "target_r", "tfinal", "tinit", "total_step",
})
OTHER_PEFT_TYPES = frozenset({
    "ADALORA", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "GLORA", "GRALORA", "HIRA", "HRA",
    "IA3", "LN_TUNING", "LOHA", "LOKR", "MISS", "OFT", "OSF", "PEANUT", "RANDLORA", "ROAD", "SHIRA",
    "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA", "WAVEFT",
})
# fmt: on
"""Other PEFT types whose merged weights were compared with their own forward.

FRoD and PSOFT stay out: what they train is read in a basis of singular vectors of the base, and another
machine or dtype finds other ones."""
PLAIN_INITS = (True, False, "gaussian", "orthogonal", "eva", "mica")
"""LoRA inits that leave the base as it is."""
CONVERTED_INITS = ("pissa", "olora")
"""LoRA inits that rewrite the base, whose adapters are converted to plain LoRA."""
