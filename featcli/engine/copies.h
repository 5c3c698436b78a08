/* Define every function, with sums in float and in double. kernel.c includes this file once for each
 * instruction set. */
#define REAL float
#include "correlate.h"
#include "layers.h"
#include "pixels.h"
#include "resample.h"
#include "clear.h"
#define REAL double
#include "correlate.h"
#include "clear.h"
