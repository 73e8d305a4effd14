"""Programs around the provider; none of them is part of the wheel."""
