"""Adapters of PEFT (LoRA and what goes with it) on a checkpoint: `BASE+ADAPTER` read like the model baked from both."""
