/* Operations of network layers besides matrix products, channels last: depthwise convolution, and the
 * steps after a product. This file is included once for each instruction set, after correlate.h. */

/* Clip values to two limits; NaN stays NaN. */
static inline __attribute__((always_inline)) NAME(Vector) NAME(limited)(NAME(Vector) x, Limits limits)
{
    NAME(Vector) low = (NAME(Vector)){0} + limits.low, high = (NAME(Vector)){0} + limits.high;
    typedef __typeof__(x < low) Mask;
    Mask under = x < low, over = x > high;
    x = (NAME(Vector))(((Mask)x & ~under) | ((Mask)low & under));
    return (NAME(Vector))(((Mask)x & ~over) | ((Mask)high & over));
}

static inline float NAME(limited_one)(float x, Limits limits)
{
    return x < limits.low ? limits.low : x > limits.high ? limits.high : x;
}

/* Compute one row of results for LANES channels; the sums of four pixels stay in registers. */
static inline __attribute__((always_inline)) void NAME(depthwise_row)(
    const float *from, const float *weight, NAME(Vector) bias, float *to, int64_t pixels, int64_t pitch,
    int64_t channels, int64_t size, int64_t stride, Limits limits)
{
    for (int64_t x = 0; x < pixels; x += 4, from += 4 * stride * channels, to += 4 * channels) {
        /* If less than four pixels are left, the last is computed several times, and stored once. */
        int64_t step[4], count = pixels - x < 4 ? pixels - x : 4;
        for (int64_t n = 0; n < 4; n++)
            step[n] = (n < count ? n : count - 1) * stride * channels;
        NAME(Vector) a = {0}, b = {0}, c = {0}, d = {0};
        for (int64_t i = 0; i < size; i++)
            for (int64_t j = 0; j < size; j++) {
                const float *seen = from + i * pitch + j * channels;
                NAME(Vector) w = AT(weight + (i * size + j) * channels);
                a += w * AT(seen);
                b += w * AT(seen + step[1]);
                c += w * AT(seen + step[2]);
                d += w * AT(seen + step[3]);
            }
        NAME(Vector) sums[4] = {a + bias, b + bias, c + bias, d + bias};
        for (int64_t n = 0; n < count; n++)
            *(NAME(Vector) *)(to + n * channels) = NAME(limited)(sums[n], limits);
    }
}

/* Compute one row of results for one of the channels that do not fill a vector. */
static void NAME(depthwise_rest)(const float *from, const float *weight, float bias, float *to,
                                 int64_t pixels, int64_t pitch, int64_t channels, int64_t size,
                                 int64_t stride, Limits limits)
{
    for (int64_t x = 0; x < pixels; x++, from += stride * channels) {
        float sum = 0;
        for (int64_t i = 0; i < size; i++)
            for (int64_t j = 0; j < size; j++)
                sum += weight[(i * size + j) * channels] * from[i * pitch + j * channels];
        to[x * channels] = NAME(limited_one)(sum + bias, limits);
    }
}

static void NAME(depthwise)(const Depthwise *job, int64_t rows)
{
    int64_t channels = job->channels, pitch = job->cols * channels;
    for (int64_t y = 0; y < rows; y++) {
        const float *from = job->data + y * job->stride * pitch;
        float *to = job->result + y * job->result_cols * channels;
        int64_t c = 0;
        for (; c + LANES <= channels; c += LANES)
            NAME(depthwise_row)(from + c, job->weight + c, AT(job->bias + c), to + c, job->result_cols,
                                pitch, channels, job->size, job->stride, job->limits);
        for (; c < channels; c++)
            NAME(depthwise_rest)(from + c, job->weight + c, job->bias[c], to + c, job->result_cols, pitch,
                                 channels, job->size, job->stride, job->limits);
    }
}

/* Add the bias and, if there are any, the other maps; clip to the limits. */
static void NAME(finish)(const Finish *job, int64_t rows)
{
    int64_t channels = job->channels, width = job->cols * channels;
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < job->cols; x++) {
            const float *from = job->data + y * width + x * channels;
            const float *more = job->added ? job->added + y * width + x * channels : 0;
            float *to = job->result + y * job->pitch + x * channels;
            int64_t c = 0;
            for (; c + LANES <= channels; c += LANES) {
                NAME(Vector) value = AT(from + c) + AT(job->bias + c);
                if (more)
                    value += AT(more + c);
                *(NAME(Vector) *)(to + c) = NAME(limited)(value, job->limits);
            }
            for (; c < channels; c++) {
                float value = from[c] + job->bias[c];
                to[c] = NAME(limited_one)(more ? value + more[c] : value, job->limits);
            }
        }
}
