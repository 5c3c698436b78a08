/* Filters of PNG rows, and conversion of values to 256 levels; see pixels.py. This file is included once
 * for each instruction set. */

/* Return the neighbour nearest to left + above - corner (PNG specification, section 9.4). */
static inline __attribute__((always_inline)) int NAME(paeth)(int left, int above, int corner)
{
    int to_left = abs(above - corner), to_above = abs(left - corner);
    int to_corner = abs(above + left - 2 * corner);
    int nearer = to_left <= to_above ? left : above;
    return to_corner < to_left && to_corner < to_above ? corner : nearer;
}

/* Compute the residuals of a row by a filter; pixels left of the row count as zero. */
static void NAME(residual)(const uint8_t *row, const uint8_t *above, int64_t width, int64_t step,
                     int kind, uint8_t *out)
{
    int64_t i = 0;
    if (kind == NONE) {
        memcpy(out, row, (size_t)width);
    } else if (kind == UP) {
        for (; i < width; i++)
            out[i] = row[i] - above[i];
    } else if (kind == SUB) {
        for (; i < step && i < width; i++)
            out[i] = row[i];
        for (; i < width; i++)
            out[i] = row[i] - row[i - step];
    } else if (kind == AVERAGE) {
        for (; i < step && i < width; i++)
            out[i] = row[i] - (above[i] >> 1);
        for (; i < width; i++)
            out[i] = row[i] - (uint8_t)((row[i - step] + above[i]) >> 1);
    } else {
        for (; i < step && i < width; i++)
            out[i] = row[i] - above[i];
        for (; i < width; i++)
            out[i] = row[i] - NAME(paeth)(row[i - step], above[i], above[i - step]);
    }
}

/* Return the filter with the smallest residuals on two rows; residuals are signed: 255 is -1. */
static int NAME(least)(const uint8_t *data, const uint8_t *zeros, int64_t top, int64_t bottom,
                 int64_t width, int64_t step, uint8_t *scratch)
{
    int64_t best = INT64_MAX, middle = top + (bottom - top) / 2;
    int found = NONE;
    for (int kind = NONE; kind <= PAETH; kind++) {
        int64_t sum = 0;
        for (int64_t at = middle; at < bottom && at < middle + 2; at++) {
            const uint8_t *row = data + at * width;
            int32_t part = 0;
            NAME(residual)(row, at ? row - width : zeros, width, step, kind, scratch);
            for (int64_t i = 0; i < width; i++) {
                part += scratch[i] < 128 ? scratch[i] : 256 - scratch[i];
                if (i % 4194304 == 4194303) {
                    sum += part;
                    part = 0;
                }
            }
            sum += part;
        }
        if (sum < best) {
            best = sum;
            found = kind;
        }
    }
    return found;
}

/* Filter the rows from `top` to `bottom`: each becomes the number of its filter and the residuals.
 * `scratch` is two rows long. */
static void NAME(filter)(const uint8_t *data, int64_t top, int64_t bottom, int64_t width, int64_t step,
                         uint8_t *scratch, uint8_t *out)
{
    uint8_t *zeros = scratch + width;
    memset(zeros, 0, (size_t)width);
    for (int64_t start = top; start < bottom; start += SHARED) {
        int64_t end = start + SHARED < bottom ? start + SHARED : bottom;
        int kind = NAME(least)(data, zeros, start, end, width, step, scratch);
        for (int64_t at = start; at < end; at++, out += width + 1) {
            const uint8_t *row = data + at * width;
            out[0] = (uint8_t)kind;
            NAME(residual)(row, at ? row - width : zeros, width, step, kind, out + 1);
        }
    }
}

/* Undo the filters of `count` rows; `above` is the row before them, or zeros. Return 1 for an invalid
 * filter, else 0. */
static int NAME(unfilter)(const uint8_t *data, int64_t count, int64_t width, int64_t step,
                          const uint8_t *above, uint8_t *out)
{
    for (int64_t at = 0; at < count; at++, data += width + 1, above = out, out += width) {
        const uint8_t *row = data + 1;
        int64_t i = 0, begin = step < width ? step : width;
        switch (data[0]) {
        case NONE:
            memcpy(out, row, (size_t)width);
            break;
        case SUB:
            memcpy(out, row, (size_t)begin);
            for (i = begin; i < width; i++)
                out[i] = row[i] + out[i - step];
            break;
        case UP:
            for (; i < width; i++)
                out[i] = row[i] + above[i];
            break;
        case AVERAGE:
            for (; i < begin; i++)
                out[i] = row[i] + (above[i] >> 1);
            for (; i < width; i++)
                out[i] = row[i] + (uint8_t)((out[i - step] + above[i]) >> 1);
            break;
        case PAETH:
            for (; i < begin; i++)
                out[i] = row[i] + above[i];
            if (step == 3) {
                int a = out[0], b = out[1], c = out[2];
                for (; i + 2 < width; i += 3) {
                    out[i] = (uint8_t)(a = (uint8_t)(row[i] + NAME(paeth)(a, above[i], above[i - 3])));
                    out[i + 1] = (uint8_t)(b = (uint8_t)(row[i + 1] + NAME(paeth)(b, above[i + 1], above[i - 2])));
                    out[i + 2] = (uint8_t)(c = (uint8_t)(row[i + 2] + NAME(paeth)(c, above[i + 2], above[i - 1])));
                }
            }
            for (; i < width; i++)
                out[i] = row[i] + NAME(paeth)(out[i - step], above[i], above[i - step]);
            break;
        default:
            return 1;
        }
    }
    return 0;
}

/* Compute the nearest of 256 levels for each value: level 0 is `low`, level 255 `high`, a level is
 * 1 / `scale` wide. NaN becomes level 0. */
static void NAME(levels)(const float *x, int64_t count, double low, double high, double scale,
                         int32_t is_abs, uint8_t *out)
{
    const double half_even = 6755399441055744.0; /* 1.5 * 2**52: adding it rounds to integers */
    for (int64_t i = 0; i < count; i++) {
        double value = is_abs ? fabsf(x[i]) : x[i];
        value = value > low ? value : low;
        value = value < high ? value : high;
        out[i] = (uint8_t)(int32_t)((value - low) * scale + half_even - half_even);
    }
}

/* Count values that are NaN, that are infinite, and that are finite but outside `low` to `high`. */
static void NAME(losses)(const float *x, int64_t count, double low, double high, int32_t is_abs,
                         int64_t *found)
{
    int64_t nan = 0, infinite = 0, outside = 0;
    for (int64_t begin = 0; begin < count; begin += 65536) {
        int64_t end = begin + 65536 < count ? begin + 65536 : count;
        int32_t some_nan = 0, some_infinite = 0, some_outside = 0;
        for (int64_t i = begin; i < end; i++) {
            float size = fabsf(x[i]);
            double value = is_abs ? size : x[i];
            some_nan += x[i] != x[i];
            some_infinite += size > FLT_MAX;
            some_outside += (value < low) | (value > high);
        }
        nan += some_nan;
        infinite += some_infinite;
        outside += some_outside;
    }
    found[0] = nan;
    found[1] = infinite;
    found[2] = outside - infinite;
}
