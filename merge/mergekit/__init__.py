"""mergekit's recipes (`merge_method:`), read by mergekit's rules into a `Recipe` of ours.

mergekit: Goddard et al. 2024, "Arcee's MergeKit: a toolkit for merging large language models", arXiv:2403.13257; what
is read is the grammar of version 0.1.5.
"""
