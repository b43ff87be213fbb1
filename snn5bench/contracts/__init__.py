"""What a plugin implements: `Method`, `Dataset`, `EnergyModel`, and the small words they share."""
