#define REAL float
#include "correlate.h"
#undef REAL
#define REAL double
#include "correlate.h"
#undef REAL
