/* Resizing pictures of bytes; see resampling.py for the filters of an axis. This file is included once
 * for each instruction set.
 *
 * All sums are of integers, so that their order does not matter. Rows are resampled SIDE at a time: the
 * block of rows is transposed, so that the same value of all rows lies side by side in memory. */

#define SIDE 32 /* rows of a block */
#define SPAN 64 /* values whose sums are computed at a time */

/* Compute weighted sums for `count` neighbouring values; the taps of a sum lie `apart` bytes from each
 * other. Results are clipped to 0..255. */
static inline __attribute__((always_inline)) void NAME(sums_of)(
    const uint8_t *from, int64_t apart, const uint32_t *weights, int64_t taps, uint8_t *to, int64_t count)
{
    uint32_t sums[SPAN];
    for (int64_t i = 0; i < count; i++)
        sums[i] = HALF;
    for (int64_t t = 0; t < taps; t++, from += apart)
        for (int64_t i = 0; i < count; i++)
            sums[i] += from[i] * weights[t];
    for (int64_t i = 0; i < count; i++) {
        int32_t found = (int32_t)sums[i] >> FRACTION;
        to[i] = found < 0 ? 0 : found > 255 ? 255 : found;
    }
}

/* Compute one row of the result from the rows under its filter. */
static void NAME(resample_down)(const uint8_t *from, int64_t width, const uint32_t *weights, int64_t taps,
                                uint8_t *to)
{
    int64_t x = 0;
    for (; x + SPAN <= width; x += SPAN)
        NAME(sums_of)(from + x, width, weights, taps, to + x, SPAN);
    if (x < width)
        NAME(sums_of)(from + x, width, weights, taps, to + x, width - x);
}

/* Swap blocks of `bits` between two rows of bytes: a step of transposing. */
static inline __attribute__((always_inline)) void NAME(swap)(uint64_t *a, uint64_t *b, int bits,
                                                             uint64_t mask)
{
    uint64_t other = ((*a >> bits) ^ *b) & mask;
    *b ^= other;
    *a ^= other << bits;
}

/* Transpose eight rows of eight bytes. */
static inline __attribute__((always_inline)) void NAME(turn_eight)(
    const uint8_t *const *from, int64_t at, uint8_t *const *to, int64_t to_at)
{
    uint64_t a[8];
    for (int i = 0; i < 8; i++)
        memcpy(a + i, from[i] + at, 8);
    for (int i = 0; i < 4; i++)
        NAME(swap)(a + i, a + i + 4, 32, 0x00000000FFFFFFFFu);
    for (int i = 0; i < 8; i += i % 4 == 1 ? 3 : 1)
        NAME(swap)(a + i, a + i + 2, 16, 0x0000FFFF0000FFFFu);
    for (int i = 0; i < 8; i += 2)
        NAME(swap)(a + i, a + i + 1, 8, 0x00FF00FF00FF00FFu);
    for (int i = 0; i < 8; i++)
        memcpy(to[i] + to_at, a + i, 8);
}

/* Transpose SIDE rows, of which some may be the same, to (width, SIDE). */
static void NAME(turn)(const uint8_t *const *rows, int64_t width, uint8_t *turned)
{
    int64_t x = 0;
    for (; x + 8 <= width; x += 8) {
        uint8_t *to[8];
        for (int i = 0; i < 8; i++)
            to[i] = turned + (x + i) * SIDE;
        for (int half = 0; half < SIDE; half += 8)
            NAME(turn_eight)(rows + half, x, to, half);
    }
    for (; x < width; x++)
        for (int i = 0; i < SIDE; i++)
            turned[x * SIDE + i] = rows[i][x];
}

/* Transpose (width, SIDE) to SIDE rows. */
static void NAME(turn_back)(const uint8_t *turned, int64_t width, uint8_t *const *rows)
{
    int64_t x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint8_t *from[8];
        for (int i = 0; i < 8; i++)
            from[i] = turned + (x + i) * SIDE;
        for (int half = 0; half < SIDE; half += 8)
            NAME(turn_eight)(from, half, rows + half, x);
    }
    for (; x < width; x++)
        for (int i = 0; i < SIDE; i++)
            rows[i][x] = turned[x * SIDE + i];
}

/* Resample SIDE rows; `scratch` holds them before and after, transposed. */
static void NAME(resample_along)(const uint8_t *const *rows, int64_t width, int64_t channels,
                                 const Axis *axis, uint8_t *scratch, uint8_t *const *results)
{
    uint8_t *turned = scratch, *found = scratch + width * channels * SIDE;
    NAME(turn)(rows, width * channels, turned);
    for (int64_t x = 0; x < axis->results; x++)
        for (int64_t c = 0; c < channels; c++)
            NAME(sums_of)(turned + (axis->first[x] * channels + c) * SIDE, channels * SIDE,
                          axis->weights + x * axis->taps, axis->count[x],
                          found + (x * channels + c) * SIDE, SIDE);
    NAME(turn_back)(found, axis->results * channels, results);
}

/* Resample the rows first..first+count of a picture; return 1 if there is not enough memory, else 0. */
static int NAME(resample_rows)(const uint8_t *data, int64_t cols, int64_t channels, int64_t first,
                               int64_t count, const Axis *axis, uint8_t *out)
{
    int64_t width = cols * channels, pitch = axis->results * channels;
    uint8_t *scratch = malloc((size_t)((width + pitch) * SIDE + pitch));
    if (!scratch)
        return 1;
    for (int64_t y = 0; y < count; y += SIDE) {
        const uint8_t *rows[SIDE];
        uint8_t *results[SIDE];
        for (int64_t i = 0; i < SIDE; i++) {
            /* After the last row, compute the last again to fill the block, and discard the result. */
            int is_there = y + i < count;
            rows[i] = data + (first + (is_there ? y + i : count - 1)) * width;
            results[i] = is_there ? out + (y + i) * pitch : scratch + (width + pitch) * SIDE;
        }
        NAME(resample_along)(rows, cols, channels, axis, scratch, results);
    }
    free(scratch);
    return 0;
}

/* Resample every column of a picture; the first row of `data` is row `before` of the picture. */
static void NAME(resample_columns)(const uint8_t *data, int64_t width, int64_t before, const Axis *axis,
                                   uint8_t *out)
{
    for (int64_t y = 0; y < axis->results; y++)
        NAME(resample_down)(data + (axis->first[y] - before) * width, width, axis->weights + y * axis->taps,
                            axis->count[y], out + y * width);
}
