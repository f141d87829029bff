"""Buffers of diffusion models outside of their networks, which are copied: there is nothing to merge in them."""

from __future__ import annotations

AVERAGES = "model_ema."  # what the names of moving averages begin with; the rest are the UNet's names without dots
# Buffers outside of the networks: the noise schedule, and the counters of moving averages.
BUFFERS = frozenset(
    {
        "betas",
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "lvlb_weights",
        "edm_mean",
        "edm_std",
        "denoiser.sigmas",
        "denoiser.log_sigmas",
        f"{AVERAGES}decay",
        f"{AVERAGES}num_updates",
    }
)


def is_average(name: str) -> bool:
    """Tell whether a tensor is a moving average of a weight."""
    return name.startswith(AVERAGES) and name not in BUFFERS
