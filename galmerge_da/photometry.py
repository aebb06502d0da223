"""Simple photometry of a cutout: background, nucleus, Petrosian radius, asymmetry."""
