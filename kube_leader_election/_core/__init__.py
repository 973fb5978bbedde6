"""Every decision of an election, without a clock, a thread or I/O.

The shell (`_store`, `_lock`) carries out what is decided here. Nothing in this
package imports anything of the library's outside this package.
"""
