"""Why a tuned model answers as it does: words (integrated gradients), attention, training examples, and how faithful.

Purpose: one answer of one text is a number (goals.py) that depends on the embeddings of what was read (reading.py);
everything else is made of that: which words raise it (words.py), whether taking them away lowers it (faithful.py), and
which training examples pushed it (training.py).
Not covered: embed and prefer, whose answer is a comparison; encoder-decoders, whose prompt and answer have two inputs.
"""
