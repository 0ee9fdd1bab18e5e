"""Networks to and from NIR, the Neuromorphic Intermediate Representation (Pedersen et al. 2024).

NIR says what the neurons' differential equations are and leaves out how they are stepped, which
makes one file give different spikes in different simulators. Here everything that decides is
explicit: see :mod:`kuwa_policies.nir_io.network` and docs/how-to/exchange-networks-with-nir.md.
"""
