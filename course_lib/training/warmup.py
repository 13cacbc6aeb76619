"""KL warm-up: the KL term enters the loss slowly, so that z carries something before it is asked to be brief."""


def kl_weight_at(epoch: int, kl_weight: float, kl_warmup: int) -> float:
    """The weight of the KL term in an epoch (epochs count from 1).

    It rises linearly, ``kl_weight · epoch / kl_warmup``, reaches ``kl_weight`` in epoch ``kl_warmup`` and stays there.
    Without warm-up (``kl_warmup=0``) it is ``kl_weight`` throughout. The idea: Bowman et al. 2016,
    doi 10.18653/v1/K16-1002; Sønderby et al. 2016, arXiv 1602.02282.
    """
    if epoch >= kl_warmup:
        return kl_weight
    return kl_weight * epoch / kl_warmup
