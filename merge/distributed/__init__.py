"""One merge by several processes, on this machine or on a cluster.

One process plans, keeps the journal and puts the output in place. The others make the same plan from the same recipe,
are given shares of its pieces, and write them at their places in the same output. Nothing else is shared, and since
pieces and the order in which sums are added depend on the plan alone, neither do the bytes on who did the work.
"""
