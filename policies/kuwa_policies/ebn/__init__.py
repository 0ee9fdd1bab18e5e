"""Efficient balanced networks (EBN): spiking networks that follow, learn and adapt.

The equations are those of Alemi, Machens, Denève and Slotine (2017); docs/explanation/ebn.md
derives them.
"""
