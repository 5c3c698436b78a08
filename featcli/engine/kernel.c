/* The compiled code of featcli: plain C, without Python's headers, called through ctypes.
 *
 * Every function works on rows of pixels, and has a version in NumPy or SciPy that defines its result.
 * Products and sums are rounded separately (-ffp-contract=off: no fused multiply-add), so that every
 * processor gives the same bytes.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

enum { NEAREST, WRAP, REFLECT, MIRROR, CONSTANT };
#define LONGEST_SUM 128

/* A kernel; `column` and `line` are set if it is separable, else `dense` if few of its taps are zero. */
typedef struct {
    int64_t place;                   /* index of its first channel in the result */
    int64_t rows, cols, count;       /* size, and number of taps that are not zero */
    const int64_t *places;           /* row and column of each of these taps */
    const double *weights;           /* and their values */
    const void *dense, *column, *line; /* type REAL; dense and column have 3 rows of zeros on both sides */
} Kernel;

typedef struct {
    const char *data;
    float *result;                                   /* (rows, result_cols, apart) */
    int64_t rows, cols, channels, row_bytes, item_bytes; /* of the source */
    int64_t row_before, col_before;                  /* padding above and left of the first window */
    int64_t row_extent, col_extent;                  /* size of the dilated kernel */
    int64_t stride, dilation, result_cols, apart, tile; /* apart: channels of the result of all kernels;
                                                         * tile: columns computed at a time */
    int64_t kernel_count, most_taps;
    const Kernel *kernels;
    int32_t type, border, is_double;
} Job;

/* The least and largest value after an activation; infinite if there is no limit. */
typedef struct {
    float low, high;
} Limits;

/* The depthwise convolution of a network on padded maps, channels last. */
typedef struct {
    const float *data, *weight, *bias; /* (rows, cols, channels), (size, size, channels), (channels,) */
    float *result;                     /* (rows, result_cols, channels) */
    int64_t cols, channels, size, stride, result_cols;
    Limits limits;
} Depthwise;

/* The steps after a layer's matrix product: bias, skip connection, activation. */
typedef struct {
    const float *data, *bias, *added; /* (rows, cols, channels), (channels,), as data or none */
    float *result;                    /* rows of `pitch` values; may be data itself */
    int64_t cols, channels, pitch;
    Limits limits;
} Finish;

/* The filters of a PNG's rows (PNG specification, section 9). */
enum { NONE, SUB, UP, AVERAGE, PAETH };
#define SHARED 16 /* rows that get the same filter */

/* The filters along one axis of a picture that is resized: each result is the sum of `count` values from
 * `first` on, times weights in units of 2^-FRACTION. The table has `taps` weights for each result. */
typedef struct {
    const int64_t *first, *count;
    const uint32_t *weights;
    int64_t taps, results;
} Axis;
#define FRACTION 22
#define HALF (1u << (FRACTION - 1))

/* Return the position that the padding copies for one outside 0..size-1; -1 for zero padding. */
static int64_t outside(int64_t at, int64_t size, int border)
{
    if (at >= 0 && at < size)
        return at;
    if (border == CONSTANT)
        return -1;
    if (border == NEAREST)
        return at < 0 ? 0 : size - 1;
    int64_t period = border == WRAP ? size : border == REFLECT ? 2 * size : 2 * size - 2;
    if (period < 1)
        return 0;
    at = (at % period + period) % period;
    if (at < size)
        return at;
    return border == REFLECT ? 2 * size - 1 - at : period - at;
}

#define JOIN(name, type, set) name##_##type##_##set
#define EXPAND(name, type, set) JOIN(name, type, set)
#define NAME(name) EXPAND(name, REAL, SET)
/* WIDTH is the size of a vector register in bytes. Longer vectors would be spilled to memory. */

#define SET plain
#define WIDTH 16
#include "copies.h"
#undef WIDTH
#undef SET

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#define SET avx2
#define WIDTH 32
#include "copies.h"
#undef WIDTH
#undef SET
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#endif
#define SET avx512
#define WIDTH 64
#include "copies.h"
#undef WIDTH
#undef SET
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* Choose the copy of a function with the widest vectors that this processor has; tests lower the limit. */
PUBLIC int32_t featcli_widest = 64;
#if defined(__x86_64__)
#define CHOOSE(name)                                                                                  \
    (featcli_widest >= 64 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && \
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")                 \
         ? name##_avx512                                                                              \
     : featcli_widest >= 32 && __builtin_cpu_supports("avx2") ? name##_avx2                           \
                                                              : name##_plain)
#else
#define CHOOSE(name) name##_plain
#endif

/* See correlate.h. */
PUBLIC int featcli_correlate(const Job *job, int64_t top, int64_t bottom)
{
    return job->is_double ? CHOOSE(correlate_double)(job, top, bottom) : CHOOSE(correlate_float)(job, top, bottom);
}

/* See layers.h. */
PUBLIC void featcli_depthwise(const Depthwise *job, int64_t rows) { CHOOSE(depthwise_float)(job, rows); }

PUBLIC void featcli_finish(const Finish *job, int64_t rows) { CHOOSE(finish_float)(job, rows); }

/* See pixels.h. */
PUBLIC void featcli_filter(const uint8_t *data, int64_t top, int64_t bottom, int64_t width, int64_t step,
                           uint8_t *scratch, uint8_t *out)
{
    CHOOSE(filter_float)(data, top, bottom, width, step, scratch, out);
}

PUBLIC int featcli_unfilter(const uint8_t *data, int64_t count, int64_t width, int64_t step,
                            const uint8_t *above, uint8_t *out)
{
    return CHOOSE(unfilter_float)(data, count, width, step, above, out);
}

PUBLIC void featcli_levels(const float *x, int64_t count, double low, double high, double scale,
                           int32_t is_abs, uint8_t *out)
{
    CHOOSE(levels_float)(x, count, low, high, scale, is_abs, out);
}

PUBLIC void featcli_losses(const float *x, int64_t count, double low, double high, int32_t is_abs,
                           int64_t *found)
{
    CHOOSE(losses_float)(x, count, low, high, is_abs, found);
}

/* See resample.h. */
PUBLIC int featcli_resample_rows(const uint8_t *data, int64_t cols, int64_t channels, int64_t first,
                                 int64_t count, const Axis *axis, uint8_t *out)
{
    return CHOOSE(resample_rows_float)(data, cols, channels, first, count, axis, out);
}

PUBLIC void featcli_resample_columns(const uint8_t *data, int64_t width, int64_t before, const Axis *axis,
                                     uint8_t *out)
{
    CHOOSE(resample_columns_float)(data, width, before, axis, out);
}

#ifndef FINGERPRINT
#define FINGERPRINT 0
#endif
PUBLIC const uint32_t featcli_fingerprint = FINGERPRINT;

/* Check all functions but correlation and resampling with known numbers; return 0 if they are right. */
static int check_rest(void)
{
    static const uint8_t rows[] = {10, 20, 40, 80, 11, 19, 50, 79, 12, 18, 60, 78}, zeros[4];
    static const float values[] = {-2, -0.5f, 0.5f, NAN, INFINITY}, weight = 2, bias = -1;
    static const uint8_t levels[] = {0, 64, 191, 0, 255};
    uint8_t filtered[15], scratch[8], back[12], found[5];
    float result[5];
    featcli_filter(rows, 0, 3, 4, 1, scratch, filtered);
    if (featcli_unfilter(filtered, 3, 4, 1, zeros, back) || memcmp(back, rows, sizeof rows))
        return 1;
    featcli_levels(values, 5, -1, 1, 127.5, 0, found);
    Depthwise job = {values, &weight, &bias, result, 3, 1, 1, 1, 3, {-4, 6}};
    featcli_depthwise(&job, 1);
    return memcmp(found, levels, sizeof levels) || result[0] != -4 || result[1] != -2 || result[2] != 0;
}

/* Halve a known picture along both axes; return 0 if the result is right. */
static int check_resampled(void)
{
    enum { COLS = 18, ROWS = 10 };
    static const uint32_t weights[] = {HALF, HALF, HALF, HALF, HALF, HALF, HALF, HALF, HALF, HALF,
                                       HALF, HALF, HALF, HALF, HALF, HALF, HALF, HALF};
    static const int64_t first[] = {0, 2, 4, 6, 8, 10, 12, 14, 16}, count[] = {2, 2, 2, 2, 2, 2, 2, 2, 2};
    Axis along = {first, count, weights, 2, COLS / 2}, down = {first, count, weights, 2, ROWS / 2};
    uint8_t source[ROWS * COLS], rows[ROWS * COLS / 2], found[ROWS * COLS / 4];
    for (int i = 0; i < ROWS * COLS; i++)
        source[i] = (uint8_t)(i * i * 7);
    if (featcli_resample_rows(source, COLS, 1, 0, ROWS, &along, rows))
        return 1;
    featcli_resample_columns(rows, COLS / 2, 0, &down, found);
    int wrong = 0;
    for (int i = 0; i < ROWS * COLS / 2; i++)
        wrong |= rows[i] != (source[2 * i] + source[2 * i + 1] + 1) / 2;
    for (int i = 0; i < ROWS * COLS / 4; i++) {
        const uint8_t *above = rows + i / (COLS / 2) * COLS + i % (COLS / 2);
        wrong |= found[i] != (above[0] + above[COLS / 2] + 1) / 2;
    }
    return wrong;
}

/* Correlate a known picture with a known kernel in every form, and run the other checks; return 0 if all
 * results are right. */
PUBLIC int featcli_check(void)
{
    static const int64_t places[] = {0, 0, 0, 2, 1, 0, 1, 2, 2, 0, 2, 2};
    static const double weights[] = {-1, 1, -2, 2, -1, 1};
    static const float dense[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0, 1, -2, 0, 2, -1, 0, 1,
                                  0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const float column[] = {0, 0, 0, 1, 2, 1, 0, 0, 0}, line[] = {-1, 0, 1};
    static const uint8_t source[] = {1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144, 169, 196, 225, 0};
    static const float expected[] = {20, 48, 64, 36, 44, 96, 112, 60,
                                     76, 160, -80, -164, 100, 208, -544, -652};
    Kernel kernels[] = {{0, 3, 3, 6, places, weights, dense, NULL, NULL},
                        {0, 3, 3, 6, places, weights, NULL, column, line},
                        {0, 3, 3, 6, places, weights, NULL, NULL, NULL}};
    float result[16];
    for (int form = 0; form < 3; form++) {
        Job job = {(const char *)source, result, 4, 4, 1, 4, 1, 1, 1, 3, 3, 1, 1, 4, 1, 4, 1, 16,
                   kernels + form, 0, REFLECT, 0};
        if (featcli_correlate(&job, 0, 4) || memcmp(result, expected, sizeof result))
            return 1;
    }
    return check_rest() || check_resampled();
}
