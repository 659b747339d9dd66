/* The pixels of a picture to what it is told from others by: greys of 32 x 32, mean colours of cells.

   Loops over every pixel, in whole numbers, bit for bit as Pillow does them; `looks.py` is their other side.
   Pixels come as Pillow holds them, four bytes each, through Arrow's C interface, and are not copied. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pixels are read as little-endian words"
#endif

#define SIDE 32        /* greys along each side */
#define PRECISION 22   /* fractional bits of weights: Pillow's PRECISION_BITS for 8-bit pixels */
#define ROWS 4         /* scaled at once */
#define CELLS 4
#define SAMPLES 128    /* pixels along each side that mean colours are made of */

/* One function for each generation of processors; the one that fits is taken when the module is loaded. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

/* https://arrow.apache.org/docs/format/CDataInterface.html */
struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* The weights of one side: of each of SIDE outputs, `num` ones beginning at pixel `first`, 0 at the end. */
struct taps {
    const int32_t *first, *weights;
    Py_ssize_t num;
};

static inline uint8_t rounded(int32_t sum) {
    int32_t value = sum >> PRECISION;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* ITU-R 601-2 luma with 16 fractional bits: Pillow's L. */
static inline void greys_of(const uint8_t *pixels, Py_ssize_t width, int32_t *greys) {
    for (Py_ssize_t x = 0; x < width; x++) {
        uint32_t pixel;
        memcpy(&pixel, pixels + 4 * x, sizeof pixel);
        uint32_t red = pixel & 255, green = pixel >> 8 & 255, blue = pixel >> 16 & 255;
        greys[x] = (int32_t)((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
    }
}

/* greys: ROWS rows, each with room for the longest taps behind it; columns: (height, SIDE), and ROWS more. */
FOR_EACH_PROCESSOR
static void scale_rows(const uint8_t *pixels, Py_ssize_t width, Py_ssize_t height, struct taps across,
                       int32_t *greys, uint8_t *columns) {
    Py_ssize_t stride = width + across.num;
    for (Py_ssize_t y = 0; y < height; y += ROWS) {
        for (Py_ssize_t row = 0; row < ROWS && y + row < height; row++)
            greys_of(pixels + 4 * width * (y + row), width, greys + stride * row);
        for (int out = 0; out < SIDE; out++) {
            const int32_t *weights = across.weights + out * across.num, *from = greys + across.first[out];
            int32_t half = 1 << (PRECISION - 1), sums[ROWS] = {half, half, half, half};
            for (Py_ssize_t k = 0; k < across.num; k++)
                for (int row = 0; row < ROWS; row++)
                    sums[row] += from[stride * row + k] * weights[k];
            for (int row = 0; row < ROWS; row++)
                columns[SIDE * (y + row) + out] = rounded(sums[row]);
        }
    }
}

FOR_EACH_PROCESSOR
static void scale_columns(const uint8_t *columns, struct taps down, uint8_t *small) {
    for (int out = 0; out < SIDE; out++) {
        int32_t sums[SIDE];
        for (int x = 0; x < SIDE; x++)
            sums[x] = 1 << (PRECISION - 1);
        for (Py_ssize_t k = 0; k < down.num; k++) {
            int32_t weight = down.weights[out * down.num + k];
            if (weight == 0)
                continue; /* behind the last row */
            const uint8_t *row = columns + SIDE * (down.first[out] + k);
            for (int x = 0; x < SIDE; x++)
                sums[x] += row[x] * weight;
        }
        for (int x = 0; x < SIDE; x++)
            small[SIDE * out + x] = rounded(sums[x]);
    }
}

/* Two passes with a rounding after each, as Pillow's BOX. */
static void mean_cells(const uint8_t *pixels, Py_ssize_t width, const int32_t *xs, const int32_t *ys, uint8_t *means) {
    const int each = SAMPLES / CELLS;
    for (int row = 0; row < CELLS; row++) {
        int32_t sums[CELLS][3] = {{0}};
        for (int y = row * each; y < (row + 1) * each; y++) {
            const uint8_t *line = pixels + 4 * width * ys[y];
            for (int cell = 0; cell < CELLS; cell++) {
                int32_t along[3] = {0};
                for (int x = cell * each; x < (cell + 1) * each; x++)
                    for (int channel = 0; channel < 3; channel++)
                        along[channel] += line[4 * xs[x] + channel];
                for (int channel = 0; channel < 3; channel++)
                    sums[cell][channel] += (along[channel] + each / 2) / each;
            }
        }
        for (int cell = 0; cell < CELLS; cell++)
            for (int channel = 0; channel < 3; channel++)
                *means++ = (uint8_t)((sums[cell][channel] + each / 2) / each);
    }
}

/* Return the first byte of (height, width, 4) pixels; NULL, with an exception, where they are something else. */
static const uint8_t *pixels_in(PyObject *capsule, Py_ssize_t width, Py_ssize_t height) {
    const struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (array == NULL)
        return NULL;
    if (width < 1 || height < 1 || array->length != (int64_t)width * height || array->n_children != 1 ||
        array->children[0]->length != 4 * array->length || array->children[0]->n_buffers != 2) {
        PyErr_Format(PyExc_ValueError, "not %zd x %zd pixels of four bytes", width, height);
        return NULL;
    }
    return array->children[0]->buffers[1];
}

/* Read (first, weights) of a side; return whether all lies within its `length` and the taps behind. */
static int read_taps(PyObject *first, PyObject *weights, Py_ssize_t length, struct taps *taps) {
    taps->first = (const int32_t *)PyBytes_AS_STRING(first);
    taps->weights = (const int32_t *)PyBytes_AS_STRING(weights);
    taps->num = PyBytes_GET_SIZE(weights) / SIDE / 4;
    int fits = PyBytes_GET_SIZE(first) == SIDE * 4 && taps->num > 0 && PyBytes_GET_SIZE(weights) == taps->num * SIDE * 4;
    for (int out = 0; fits && out < SIDE; out++) {
        fits = taps->first[out] >= 0 && taps->first[out] < length;
        for (Py_ssize_t k = length - taps->first[out]; fits && k < taps->num; k++)
            fits = taps->weights[out * taps->num + k] == 0;
    }
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "weights that reach beyond the picture");
    return fits;
}

static PyObject *grey_32(PyObject *module, PyObject *args) {
    PyObject *capsule, *first_across, *across_weights, *first_down, *down_weights;
    Py_ssize_t width, height;
    struct taps across, down;
    if (!PyArg_ParseTuple(args, "OnnSSSS", &capsule, &width, &height, &first_across, &across_weights, &first_down,
                          &down_weights))
        return NULL;
    const uint8_t *pixels = pixels_in(capsule, width, height);
    if (pixels == NULL || !read_taps(first_across, across_weights, width, &across) ||
        !read_taps(first_down, down_weights, height, &down))
        return NULL;
    int32_t *greys = PyMem_Calloc((size_t)(width + across.num) * ROWS, sizeof *greys);
    uint8_t *columns = PyMem_Malloc((size_t)(height + ROWS) * SIDE);
    PyObject *small = PyBytes_FromStringAndSize(NULL, SIDE * SIDE);
    if (greys == NULL || columns == NULL || small == NULL) {
        Py_CLEAR(small);
        PyErr_NoMemory();
    } else {
        uint8_t *into = (uint8_t *)PyBytes_AS_STRING(small);
        Py_BEGIN_ALLOW_THREADS;
        scale_rows(pixels, width, height, across, greys, columns);
        scale_columns(columns, down, into);
        Py_END_ALLOW_THREADS;
    }
    PyMem_Free(greys);
    PyMem_Free(columns);
    return small;
}

static PyObject *cell_means(PyObject *module, PyObject *args) {
    PyObject *capsule, *xs, *ys;
    Py_ssize_t width, height;
    if (!PyArg_ParseTuple(args, "OnnSS", &capsule, &width, &height, &xs, &ys))
        return NULL;
    const uint8_t *pixels = pixels_in(capsule, width, height);
    if (pixels == NULL)
        return NULL;
    if (PyBytes_GET_SIZE(xs) != SAMPLES * 4 || PyBytes_GET_SIZE(ys) != SAMPLES * 4)
        return PyErr_Format(PyExc_ValueError, "not %d places along each side", SAMPLES);
    const int32_t *x = (const int32_t *)PyBytes_AS_STRING(xs), *y = (const int32_t *)PyBytes_AS_STRING(ys);
    for (int place = 0; place < SAMPLES; place++)
        if (x[place] < 0 || x[place] >= width || y[place] < 0 || y[place] >= height)
            return PyErr_Format(PyExc_ValueError, "places beyond %zd x %zd", width, height);
    PyObject *means = PyBytes_FromStringAndSize(NULL, CELLS * CELLS * 3);
    if (means != NULL)
        mean_cells(pixels, width, x, y, (uint8_t *)PyBytes_AS_STRING(means));
    return means;
}

static PyMethodDef methods[] = {
    {"grey_32", grey_32, METH_VARARGS,
     "grey_32(pixels, width, height, first_across, weights_across, first_down, weights_down): 32 x 32 greys."},
    {"cell_means", cell_means, METH_VARARGS, "cell_means(pixels, width, height, xs, ys): 4 x 4 mean RGB."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "filters._looks", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__looks(void) { return PyModule_Create(&definition); }
