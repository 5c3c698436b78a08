/* Every function once for each type of sums; kernel.c includes this for each set of instructions. */
#define REAL float
#include "correlate.h"
#include "layers.h"
#include "pixels.h"
#include "resample.h"
#include "clear.h"
#define REAL double
#include "correlate.h"
#include "clear.h"
