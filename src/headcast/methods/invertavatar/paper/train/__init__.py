"""The paper's training, one recipe a stage, each of which starts from the weights of the one before.

``generator`` (A.1), ``latent`` (A.2.1), ``encoders`` (A.2.2), ``recurrent`` (A.2.3); ``base`` holds what they
share.
"""
