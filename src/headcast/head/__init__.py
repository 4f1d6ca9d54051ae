"""What a head is: parameters, model, skin."""
