/* Everything that is compiled for one instruction set; SET is the suffix of its names. */
#define JOINED(name, set) name##set
#define JOIN(name, set) JOINED(name, set)
#define NAMED(name) JOIN(name, SET)
#include "_sums.h"
#define REAL float
#define BITS uint32_t
#define LANED(name) JOIN(name##_32, SET)
#include "_blocks.h"
#undef REAL
#undef BITS
#undef LANED
#define REAL double
#define BITS uint64_t
#define LANED(name) JOIN(name##_64, SET)
#include "_blocks.h"
#undef REAL
#undef BITS
#undef LANED
#undef NAMED
#undef JOIN
#undef JOINED
