/* Correlation of strips of rows. This file is included once for each type of sums (REAL) and each
 * instruction set; NAME() gives each copy different names.
 *
 * Source rows are converted to REAL and padded, into a ring buffer with as many rows as the kernel.
 * Sums stay in registers over all taps. Every form starts a sum at 0 and adds the taps row by row, so
 * that all forms give the same value, for strips of any height.
 */

#define LANES ((int64_t)(WIDTH / sizeof(REAL)))
#define BLOCK (4 * LANES)

typedef REAL NAME(Vector) __attribute__((vector_size(WIDTH), aligned(sizeof(REAL)), may_alias));

/* A tap: the source values under it for the first result of a row, and its weight. */
typedef struct {
    const REAL *from;
    REAL weight;
} NAME(Tap);

/* The buffers of one strip, for a tile of columns that starts at source column `left`. */
typedef struct {
    const Job *job;
    int64_t left, width, pitch; /* in pixels; values in a row of results; values in a row of the ring */
    int64_t height, loaded;     /* rows of the ring; the next source row to load */
    int direct;                 /* whether source rows can be used without copying them */
    REAL *ring, *between, *results;
    const REAL **rows;          /* address of each row of the ring */
    NAME(Tap) *taps;
} NAME(Tile);

#define AT(from) (*(const NAME(Vector) *)(from))

/* Store sums, or add them to what is there. x - x is 0 for every finite number but NaN for NaN and
 * infinity, so `*odd` becomes NaN if any result is not finite. */
static inline __attribute__((always_inline)) void NAME(store)(
    REAL *to, int64_t x, int64_t n, NAME(Vector) sums, int add, NAME(Vector) *odd)
{
    if (x + LANES <= n) {
        if (add)
            sums += AT(to + x);
        *(NAME(Vector) *)(to + x) = sums;
        *odd += sums - sums;
    } else {
        for (int64_t i = 0; x + i < n; i++) {
            to[x + i] = add ? to[x + i] + sums[i] : sums[i];
            (*odd)[0] += sums[i] - sums[i];
        }
    }
}

static inline int NAME(any)(const NAME(Vector) *odd)
{
    int any = 0;
    for (int64_t i = 0; i < LANES; i++)
        any |= (*odd)[i] != 0;
    return any;
}

/* Return how many columns of taps to add at a time: at most LONGEST_SUM taps, because long sums in
 * float32 lose precision. */
static int64_t NAME(band)(int64_t rows) { return rows < LONGEST_SUM ? LONGEST_SUM / rows : 1; }

/* Sum taps into one row of n values, 4 vectors at a time. May read BLOCK values beyond the row.
 * Return whether a result is not finite. */
static int NAME(sum_row)(REAL *to, int64_t n, const NAME(Tap) *taps, int64_t count, int add)
{
    NAME(Vector) odd = {0};
    for (int64_t x = 0; x < n; x += BLOCK) {
        NAME(Vector) a = {0}, b = {0}, c = {0}, d = {0};
        for (int64_t t = 0; t < count; t++) {
            const REAL *from = taps[t].from + x, weight = taps[t].weight;
            a += weight * AT(from);
            b += weight * AT(from + LANES);
            c += weight * AT(from + 2 * LANES);
            d += weight * AT(from + 3 * LANES);
        }
        NAME(store)(to, x, n, a, add, &odd);
        NAME(store)(to, x + LANES, n, b, add, &odd);
        NAME(store)(to, x + 2 * LANES, n, c, add, &odd);
        NAME(store)(to, x + 3 * LANES, n, d, add, &odd);
    }
    return NAME(any)(&odd);
}

/* The same in float64 with only the taps that are not zero, for rows whose sums are not finite. */
static void NAME(sum_careful)(REAL *to, int64_t n, const NAME(Tap) *taps, const double *weights,
                              int64_t count)
{
    for (int64_t x = 0; x < n; x += 16) {
        double sums[16] = {0};
        for (int64_t t = 0; t < count; t++)
            for (int i = 0; i < 16; i++)
                sums[i] += weights[t] * (double)taps[t].from[x + i];
        for (int64_t i = 0; i < 16 && x + i < n; i++)
            to[x + i] = (REAL)sums[i];
    }
}

/* Sum the taps of columns first..last into 4 rows at once, so that each value is loaded once for all 4.
 * `seen` has rows + 3 source rows, `step` is the distance of neighbouring columns in values. The weights
 * have 3 rows of zeros above and below, which are skipped if the height is a constant (`known`). */
static inline __attribute__((always_inline)) int NAME(four)(
    REAL *const *to, int64_t n, const REAL *const *seen, const REAL *weights, int64_t rows, int64_t cols,
    int64_t first, int64_t last, int64_t step, int known)
{
    NAME(Vector) odd = {0};
    for (int64_t x = 0; x < n; x += LANES) {
        NAME(Vector) a = {0}, b = {0}, c = {0}, d = {0};
#pragma GCC unroll 10
        for (int64_t i = 0; i < (known ? known : rows) + 3; i++) {
            const REAL *from = seen[i] + x, *row = weights + (i + 3) * cols;
            for (int64_t j = first; j < last; j++) {
                NAME(Vector) values = AT(from + j * step);
                if (!known || i < known)
                    a += row[j] * values;
                if (!known || (i > 0 && i < known + 1))
                    b += row[j - cols] * values;
                if (!known || (i > 1 && i < known + 2))
                    c += row[j - 2 * cols] * values;
                if (!known || i > 2)
                    d += row[j - 3 * cols] * values;
            }
        }
        NAME(store)(to[0], x, n, a, first > 0, &odd);
        NAME(store)(to[1], x, n, b, first > 0, &odd);
        NAME(store)(to[2], x, n, c, first > 0, &odd);
        NAME(store)(to[3], x, n, d, first > 0, &odd);
    }
    return NAME(any)(&odd);
}

static int NAME(sum_four)(REAL *const *to, int64_t n, const REAL *const *seen, const REAL *weights,
                          int64_t rows, int64_t cols, int64_t step)
{
#define KNOWN(height, width) \
    if (sizeof(REAL) == sizeof(float) && rows == height && cols == width) \
    return NAME(four)(to, n, seen, weights, height, width, 0, width, step, height)
    KNOWN(3, 3);
    KNOWN(5, 5);
    KNOWN(7, 7);
    KNOWN(3, 1);
    int64_t band = NAME(band)(rows);
    int odd = 0;
    for (int64_t first = 0; first < cols; first += band) {
        int64_t last = first + band < cols ? first + band : cols;
        odd |= NAME(four)(to, n, seen, weights, rows, cols, first, last, step, 0);
    }
    return odd;
}

#define CONVERT(type) \
    for (int64_t i = 0; i < n; i++) to[i] = (REAL)((const type *)from)[i]; \
    break

static void NAME(convert)(REAL *to, const char *from, int64_t n, int type)
{
    switch (type) {
    case 0: CONVERT(uint8_t);
    case 1: CONVERT(int8_t);
    case 2: CONVERT(uint16_t);
    case 3: CONVERT(int16_t);
    case 4: CONVERT(uint32_t);
    case 5: CONVERT(int32_t);
    case 6: CONVERT(uint64_t);
    case 7: CONVERT(int64_t);
    case 8: CONVERT(float);
    default: CONVERT(double);
    }
}

/* Copy source row `twin`, or zeros if it is negative, with padding at both ends. */
static void NAME(copy)(const NAME(Tile) *tile, int64_t twin, int64_t cols, REAL *to)
{
    const Job *job = tile->job;
    int64_t channels = job->channels, pixel = channels * job->item_bytes;
    const char *from = job->data + twin * job->row_bytes;
    for (int64_t i = 0, next; i < cols; i = next) {
        int64_t col = outside(tile->left + i, job->cols, job->border), inside = job->cols - tile->left;
        next = i + 1;
        if (col >= 0 && col == tile->left + i)
            next = inside < cols ? inside : cols;
        if (twin < 0 || col < 0)
            memset(to + i * channels, 0, sizeof(REAL) * channels * (next - i));
        else
            NAME(convert)(to + i * channels, from + col * pixel, channels * (next - i), job->type);
    }
}

/* Load a source row into the ring; it may lie in the padding, and so may all columns of the tile. */
static void NAME(load)(NAME(Tile) *tile, int64_t row)
{
    const Job *job = tile->job;
    int64_t slot = (row + job->row_before) % tile->height, twin = outside(row, job->rows, job->border);
    int64_t values = tile->width + (job->col_extent - 1) * job->channels;
    REAL *copy = tile->ring + slot * tile->pitch;
    const REAL *where = copy;
    if (tile->direct && twin >= 0)
        where = (const REAL *)(job->data + twin * job->row_bytes) + tile->left * job->channels;
    else
        NAME(copy)(tile, twin, values / job->channels, copy);
    tile->rows[slot] = where;
}

static inline const REAL *NAME(slot)(const NAME(Tile) *tile, int64_t row)
{
    return tile->rows[(row + tile->job->row_before) % tile->height];
}

/* The second pass of a separable kernel, along one row. */
static int NAME(along)(NAME(Tile) *tile, const Kernel *kernel, const REAL *from, REAL *to)
{
    const REAL *line = kernel->line;
    int64_t count = 0, step = tile->job->dilation * tile->job->channels;
    for (int64_t j = 0; j < kernel->cols; j++)
        if (line[j] != 0)
            tile->taps[count++] = (NAME(Tap)){from + j * step, line[j]};
    return NAME(sum_row)(to, tile->width, tile->taps, count, 0);
}

/* Fill `tile->taps` with the taps that are not zero. */
static void NAME(point)(NAME(Tile) *tile, const Kernel *kernel, int64_t first)
{
    int64_t gap = tile->job->dilation;
    for (int64_t t = 0; t < kernel->count; t++) {
        const int64_t *place = kernel->places + 2 * t;
        const REAL *row = NAME(slot)(tile, first + place[0] * gap);
        REAL weight = (REAL)kernel->weights[t];
        tile->taps[t] = (NAME(Tap)){row + place[1] * gap * tile->job->channels, weight};
    }
}

/* Compute one row of results; `first` is the first source row under the kernel. */
static void NAME(compute_row)(NAME(Tile) *tile, const Kernel *kernel, int64_t first, REAL *to)
{
    int64_t gap = tile->job->dilation, count = 0, start = 0, stop;
    int odd = 0;
    if (kernel->column) {
        const REAL *column = (const REAL *)kernel->column + 3;
        for (int64_t i = 0; i < kernel->rows; i++)
            if (column[i] != 0)
                tile->taps[count++] = (NAME(Tap)){NAME(slot)(tile, first + i * gap), column[i]};
        int64_t wide = tile->width + (kernel->cols - 1) * gap * tile->job->channels;
        NAME(sum_row)(tile->between, wide, tile->taps, count, 0);
        odd = NAME(along)(tile, kernel, tile->between, to);
    } else {
        NAME(point)(tile, kernel, first);
        int64_t band = NAME(band)(kernel->rows), last = band;
        do {
            for (stop = start; stop < kernel->count && kernel->places[2 * stop + 1] < last; stop++) {}
            last += band;
            odd |= NAME(sum_row)(to, tile->width, tile->taps + start, stop - start, start > 0);
            start = stop;
        } while (start < kernel->count);
    }
    if (odd) {
        NAME(point)(tile, kernel, first);
        NAME(sum_careful)(to, tile->width, tile->taps, kernel->weights, kernel->count);
    }
}

/* Compute four rows of results at once (stride 1 and dilation 1, so that they share source rows). */
static int NAME(compute_four)(NAME(Tile) *tile, const Kernel *kernel, int64_t first, REAL *const *to)
{
    const REAL **seen = (const REAL **)tile->taps;
    int64_t channels = tile->job->channels, rows = kernel->rows;
    int odd = 0;
    for (int64_t i = 0; i < rows + 3; i++)
        seen[i] = NAME(slot)(tile, first + i);
    if (kernel->column) {
        int64_t wide = tile->width + (kernel->cols - 1) * channels;
        REAL *between[4];
        for (int r = 0; r < 4; r++)
            between[r] = tile->between + r * tile->pitch;
        NAME(sum_four)(between, wide, seen, kernel->column, rows, 1, 0);
        for (int r = 0; r < 4; r++)
            odd |= NAME(along)(tile, kernel, between[r], to[r]);
        return odd;
    }
    return NAME(sum_four)(to, tile->width, seen, kernel->dense, rows, kernel->cols, channels);
}

/* Write a row of results: every stride-th pixel, beside the channels of the other kernels. */
static void NAME(put)(const Job *job, float *to, const REAL *from, int64_t pixels)
{
    int64_t channels = job->channels;
    if (job->apart == channels && job->stride == 1) {
        for (int64_t i = 0; i < pixels * channels; i++)
            to[i] = (float)from[i];
        return;
    }
    for (int64_t i = 0; i < pixels; i++, to += job->apart, from += job->stride * channels)
        for (int64_t c = 0; c < channels; c++)
            to[c] = (float)from[c];
}

/* Compute `count` (1 or 4) rows of results, from y on, for every kernel. */
static void NAME(compute)(NAME(Tile) *tile, int64_t y, int count, int64_t col, int64_t pixels)
{
    const Job *job = tile->job;
    int direct = sizeof(REAL) == sizeof(float) && job->apart == job->channels && job->stride == 1;
    for (int64_t k = 0; k < job->kernel_count; k++) {
        const Kernel *kernel = job->kernels + k;
        REAL *to[4];
        float *places[4];
        for (int r = 0; r < count; r++) {
            int64_t pixel = (y + r) / job->stride * job->result_cols + col;
            places[r] = job->result + pixel * job->apart + kernel->place;
            to[r] = direct ? (REAL *)places[r] : tile->results + r * tile->pitch;
        }
        int64_t first = y - job->row_before;
        int by_four = count == 4 && (kernel->column || kernel->dense);
        /* If a result is not finite, repeat row by row: that finds the row, and all others stay the same. */
        if (!by_four || NAME(compute_four)(tile, kernel, first, to))
            for (int r = 0; r < count; r++)
                NAME(compute_row)(tile, kernel, first + r, to[r]);
        for (int r = 0; r < count && !direct; r++)
            NAME(put)(job, places[r], to[r], pixels);
    }
}

/* Compute the result rows top..bottom of one tile of columns. */
static void NAME(sweep)(NAME(Tile) *tile, int64_t top, int64_t bottom, int64_t col, int64_t pixels)
{
    const Job *job = tile->job;
    int by_four = job->stride == 1 && job->dilation == 1;
    tile->loaded = top * job->stride - job->row_before;
    for (int64_t y = top; y < bottom;) {
        int count = by_four && y + 4 <= bottom ? 4 : 1;
        int64_t first = y * job->stride - job->row_before;
        if (tile->loaded < first)
            tile->loaded = first;
        for (; tile->loaded < first + job->row_extent + count - 1; tile->loaded++)
            NAME(load)(tile, tile->loaded);
        NAME(compute)(tile, y * job->stride, count, col, pixels);
        y += count;
    }
}

/* Choose the next tile, from `col` on, and return its width. If the source has the type REAL, only tiles
 * at the left and right end need copies. */
static int64_t NAME(next_tile)(NAME(Tile) *tile, int64_t col)
{
    const Job *job = tile->job;
    int64_t slack = (BLOCK + job->channels - 1) / job->channels + job->col_extent - job->col_before;
    int64_t left = (job->col_before / job->stride + LANES) / LANES * LANES, end = job->result_cols;
    int64_t right = (job->cols - slack) / job->stride;
    int is_real = job->type == (sizeof(REAL) == sizeof(float) ? 8 : 9);
    tile->direct = is_real && job->cols > slack && col >= left && col < right;
    if (is_real && left < right)
        end = col < left ? left : col < right ? right : end;
    return end - col < job->tile ? end - col : job->tile;
}

/* Compute the result rows top..bottom; return 0, or 1 if there is not enough memory. */
static int NAME(correlate)(const Job *job, int64_t top, int64_t bottom)
{
    int64_t channels = job->channels, most = (job->tile - 1) * job->stride + job->col_extent;
    NAME(Tile) tile = {.job = job, .height = job->row_extent + 3};
    tile.pitch = (most * channels + 2 * BLOCK - 1) / BLOCK * BLOCK;
    int64_t taps = job->most_taps + job->row_extent + 3;
    tile.ring = calloc((tile.height + 8) * tile.pitch, sizeof(REAL));
    tile.rows = calloc(tile.height, sizeof *tile.rows);
    tile.taps = calloc(taps, sizeof *tile.taps);
    int failed = !tile.ring || !tile.rows || !tile.taps;
    if (!failed) {
        tile.between = tile.ring + tile.height * tile.pitch;
        tile.results = tile.between + 4 * tile.pitch;
    }
    for (int64_t col = 0, pixels; col < job->result_cols && !failed; col += pixels) {
        pixels = NAME(next_tile)(&tile, col);
        tile.left = col * job->stride - job->col_before;
        tile.width = ((pixels - 1) * job->stride + 1) * channels;
        NAME(sweep)(&tile, top, bottom, col, pixels);
    }
    free(tile.ring), free(tile.rows), free(tile.taps);
    return failed;
}
