"""WASI preview 1.

abi            numbers and record layouts        context   WasiConfig, and the descriptor table of a program; permissions
guest          the guest's memory                descriptors   streams, files, directories
resolve        paths that cannot leave a directory
process_calls, fd_calls, path_calls, time_calls, poll_calls  the functions
function, functions  a row, and the table of them: names, types, where they are
link           functions of one instance, over its exported memory
"""
