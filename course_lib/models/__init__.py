"""One file, one model, each a small step from the one before.

Autoencoder, GENEEX, VAE, simplified scVI, scVI; from there scANVI, which knows labels, and totalVI, which sees
proteins.

The linear scVI is a step back from there, for the sake of weights that can be read.

A model of your own may live here or anywhere else: training and analysis ask what it has, never what it is.
``tests/test_contract.py`` writes three, outside of the library, and holds every line below.

**To be trained**, by ``training.fit``: an ``nn.Module`` with parameters, and

- ``loss(cells, kl_weight=1.0)``, which returns a dictionary of scalars, each a mean over the cells: ``"loss"``, which
  training minimises, and every other term that is worth a column of the history. A model without a KL term takes
  ``kl_weight`` and leaves it.

That is all. Three things are good to have:

- what must survive an interruption is in ``state_dict`` (parameters, and buffers for the rest), what makes two models
  differ beyond their layers in ``extra_repr``: a checkpoint compares both;
- ``needs_counts = True`` where x is scored as counts: cells of expression are refused;
- ``genes``, ``batches`` and ``labels``, tuples of names, where the model is built for them: other cells are refused.
  Without ``genes``, ``fit`` writes there those that the model learned from; ``epochs_trained`` it writes in any case.

**To be asked**, by ``analysis``; N cells, G genes, L latent dimensions, K samples:

=================================================  =====================================================================
``get_latent_representation``                      ``encode(x)``: (N, G) to a code (N, L), or to its distribution
``get_reconstruction``                             and ``decode(z)``: (N, L) to (N, G), or to a distribution over cells
``fit_local_posteriors``                           and ``prior``, p(z); ``encode`` gives a ``Normal``
``bits_per_dimension``, ``draw_codes``             the same without ``decode``
``bound_by_quadrature``                            and ``n_latent`` = 1; ``decode`` takes (…, L)
``get_marginal_ll``                                ``log_weights(cells, K)``: log p(x, z_k, …) − log q(z_k, …∣x), (K, N)
``cells_for``                                      ``genes`` and ``batches``
``get_normalized_expression``                      these two; ``encode``, a ``Normal``; ``learns_library``;
                                                   ``decode(z, log_library, batch)``: (…, N, L), (…, N, 1), (N,) to an
                                                   ``Independent`` over cells whose ``base_dist`` has a mean ``mu``
``posterior_predictive_sample``                    the same
``differential_expression``, ``annotate``          the same
``impute``, ``thinned_predictive_sample``          the same; ``base_dist`` has ``theta`` too, but for a mean
``get_latent_library_size``                        the same; where ``learns_library``, ``encode_library(x)`` of log ℓ
``predict``, ``annotate_labels``                   ``genes``, ``batches``, ``labels``; ``encode``; ``classify(z)``, a
                                                   ``Categorical``
``foreground_probability``, ``denoised_protein``   ``genes``, ``batches``, ``proteins``, ``measures_protein``;
                                                   ``encode``; ``encode_background(z, batch)``; ``decode_protein(z,
                                                   log_beta, batch)``
``impute_protein``, ``annotate_proteins``          the same
=================================================  =====================================================================

A model whose encoders see the batch says ``encodes_batch = True`` and takes it: ``encode(x, batch)``. One whose encoder
sees antibodies says ``encodes_protein = True``: ``encode(x, batch, protein)``.
"""
