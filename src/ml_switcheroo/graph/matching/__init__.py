"""Match two graphs by what they compute, whatever anything is called.

Both programs are given the same input and carried out side by side, without weights: in the place of each
kernel stands an *oracle*, a function that gives random numbers for each row of data, the same for the same
row (``oracles``). Where both programs have computed the same so far, the kernels that they go on with are
each other's; where several come into question, each is exchanged for another in turn, and what that changes
further on tells them apart (``lockstep``). Leaves that enter element by element are told apart in the same
way. In which order a kernel has its rows and columns is read off the values that it is given, and off what
becomes of those it gives. So a match is proved while it is made: all that was computed was equal.
"""
