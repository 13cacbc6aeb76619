"""One file, one model; each is a small step from the one before it: autoencoder, GENEEX, VAE."""
