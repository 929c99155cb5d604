#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

/// Allocations of the calling thread so far; UINT64_MAX in a build that cannot count them.
uint64_t allocation_count(void);

#endif
