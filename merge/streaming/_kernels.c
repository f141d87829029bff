/* The weighted sum of tensors in one pass over memory, and the loops over blocks that numpy needs many passes for.
 *
 * They compute what the numpy path computes, operation for operation: convert exactly, multiply, then add, in the
 * order of the models and in float32 (float64 for float32 inputs), round once to nearest even. So both give the
 * same bytes, and a machine without a compiler only loses speed. Contraction of multiply and add must stay off.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define STRIP 1024 /* elements whose sums stay in the first-level cache */
#define MOST_INPUTS 64
#define LANES 16 /* as many as the widest registers hold */
#ifdef __GNUC__
#define SEPARATE __attribute__((noinline)) /* a loop that is interleaved with the loop around it is not vectorized */
#else
#define SEPARATE
#endif

typedef struct {
    const void *data[MOST_INPUTS];
    double weights[MOST_INPUTS];
    const void *base; /* subtracted from every input and added to the sum; NULL where there is none */
    int count;
} Inputs;

#define SET _any
#include "_set.h"
#undef SET

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CHOOSES
#pragma GCC push_options
#pragma GCC target("arch=haswell")
#define SET _avx2
#include "_set.h"
#undef SET
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=skylake-avx512")
#define SET _avx512
#include "_set.h"
#undef SET
#pragma GCC pop_options
#endif

/* `level` bounds the instruction set, so that tests can compare all of them: 0 any processor, 1 AVX2, 2 AVX-512. */
static int chosen(int level) {
#ifdef CHOOSES
    if (level > 1 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return 2;
    if (level > 0 && __builtin_cpu_supports("avx2")) return 1;
#endif
    (void)level;
    return 0;
}

#ifdef CHOOSES
#define PICK(name, level) (chosen(level) == 2 ? name##_avx512 : chosen(level) == 1 ? name##_avx2 : name##_any)
#else
#define PICK(name, level) (name##_any)
#endif

static int run(const char *dtype, const Inputs *in, void *out, size_t nbytes, int level) {
    if (!strcmp(dtype, "BF16")) return PICK(sum_bfloat16, level)(in, out, nbytes / 2);
    if (!strcmp(dtype, "F16")) return PICK(sum_float16, level)(in, out, nbytes / 2);
    return PICK(sum_float32, level)(in, out, nbytes / 4);
}

static PyObject *weighted_sum(PyObject *module, PyObject *arguments) {
    const char *dtype;
    PyObject *buffers, *weights, *origin = Py_None;
    Py_buffer out, base = {.buf = NULL}, views[MOST_INPUTS];
    Inputs in = {.count = 0};
    int finite = 0, opened = 0, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sO!O!w*|Oi", &dtype, &PyTuple_Type, &buffers, &PyTuple_Type, &weights, &out,
                          &origin, &level))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(buffers);
    int known = !strcmp(dtype, "BF16") || !strcmp(dtype, "F16") || !strcmp(dtype, "F32");
    if (!known || count < 1 || count > MOST_INPUTS || PyTuple_GET_SIZE(weights) != count)
        PyErr_SetString(PyExc_ValueError, "weighted_sum takes BF16, F16 or F32 and 1 to 64 inputs, a weight for each");
    while (!PyErr_Occurred() && opened < count) {
        in.weights[opened] = PyFloat_AsDouble(PyTuple_GET_ITEM(weights, opened));
        if (PyErr_Occurred() || PyObject_GetBuffer(PyTuple_GET_ITEM(buffers, opened), &views[opened], PyBUF_SIMPLE))
            break;
        in.data[opened] = views[opened].buf;
        if (views[opened++].len != out.len)
            PyErr_SetString(PyExc_ValueError, "all buffers must have one length");
    }
    if (!PyErr_Occurred() && origin != Py_None && !PyObject_GetBuffer(origin, &base, PyBUF_SIMPLE) &&
        base.len != out.len)
        PyErr_SetString(PyExc_ValueError, "all buffers must have one length");
    if (!PyErr_Occurred()) {
        in.count = (int)count;
        in.base = base.buf;
        Py_BEGIN_ALLOW_THREADS
        finite = run(dtype, &in, out.buf, (size_t)out.len, level);
        Py_END_ALLOW_THREADS
    }
    while (opened) PyBuffer_Release(&views[--opened]);
    if (base.buf) PyBuffer_Release(&base);
    PyBuffer_Release(&out);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(finite);
}

/* Open a contiguous array of float32 or float64; return its width in bytes, or 0 with an error set. */
static int open_array(PyObject *object, Py_buffer *view, int writable) {
    if (PyObject_GetBuffer(object, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0))) return 0;
    if (view->format && (!strcmp(view->format, "f") || !strcmp(view->format, "d"))) return (int)view->itemsize;
    PyBuffer_Release(view);
    PyErr_SetString(PyExc_TypeError, "an array of float32 or float64 is needed");
    return 0;
}

static PyObject *inner(PyObject *module, PyObject *arguments) {
    PyObject *objects[2];
    Py_buffer first, second;
    double total = 0;
    int width, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO|i", &objects[0], &objects[1], &level)) return NULL;
    if (!(width = open_array(objects[0], &first, 0))) return NULL;
    if (!open_array(objects[1], &second, 0)) {
        PyBuffer_Release(&first);
        return NULL;
    }
    if (second.len != first.len || second.itemsize != width)
        PyErr_SetString(PyExc_ValueError, "both arrays must have one type and length");
    else {
        Py_BEGIN_ALLOW_THREADS
        total = width == 4 ? PICK(inner_32, level)(first.buf, second.buf, (size_t)first.len / 4)
                           : PICK(inner_64, level)(first.buf, second.buf, (size_t)first.len / 8);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&first);
    PyBuffer_Release(&second);
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(total);
}

static PyObject *add_digits(PyObject *module, PyObject *arguments) {
    PyObject *object;
    Py_buffer array, counts;
    unsigned long long prefix;
    int width, shift, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "w*OiK|i", &counts, &object, &shift, &prefix, &level)) return NULL;
    width = open_array(object, &array, 0);
    if (width && (counts.len != 65536 * 8 || shift < 0 || shift > 8 * width - 16))
        PyErr_SetString(PyExc_ValueError, "add_digits needs 65,536 counts and a shift within the numbers");
    else if (width) {
        Py_BEGIN_ALLOW_THREADS
        if (width == 4)
            PICK(digits_32, level)(array.buf, (size_t)array.len / 4, counts.buf, shift, prefix);
        else
            PICK(digits_64, level)(array.buf, (size_t)array.len / 8, counts.buf, shift, prefix);
        Py_END_ALLOW_THREADS
    }
    if (width) PyBuffer_Release(&array);
    PyBuffer_Release(&counts);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *matching(PyObject *module, PyObject *arguments) {
    PyObject *object, *target;
    Py_buffer array, out;
    unsigned long long prefix;
    size_t found = 0;
    int width, shift, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OOiK|i", &target, &object, &shift, &prefix, &level)) return NULL;
    if (!(width = open_array(object, &array, 0))) return NULL;
    if (!open_array(target, &out, 1)) {
        PyBuffer_Release(&array);
        return NULL;
    }
    if (out.len != array.len || out.itemsize != width || shift < 0 || shift >= 8 * width)
        PyErr_SetString(PyExc_ValueError, "both arrays must have one type and length, and the shift must fit it");
    else {
        Py_BEGIN_ALLOW_THREADS
        found = width == 4 ? PICK(matching_32, level)(array.buf, (size_t)array.len / 4, out.buf, shift, prefix)
                           : PICK(matching_64, level)(array.buf, (size_t)array.len / 8, out.buf, shift, prefix);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&array);
    PyBuffer_Release(&out);
    return PyErr_Occurred() ? NULL : PyLong_FromSize_t(found);
}

static PyObject *keep(PyObject *module, PyObject *arguments) {
    PyObject *object;
    Py_buffer array;
    const char *comparison;
    double bound;
    int width, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Osd|i", &object, &comparison, &bound, &level)) return NULL;
    int above = comparison[0] == '>', equal = comparison[0] && comparison[1] == '=';
    if ((!above && comparison[0] != '<') || comparison[1 + equal])
        return PyErr_Format(PyExc_ValueError, "'%s' is none of >=, >, <= and <", comparison);
    if (!(width = open_array(object, &array, 1))) return NULL;
    Py_BEGIN_ALLOW_THREADS
    if (width == 4)
        PICK(keep_32, level)(array.buf, (size_t)array.len / 4, (float)bound, above, equal);
    else
        PICK(keep_64, level)(array.buf, (size_t)array.len / 8, bound, above, equal);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&array);
    Py_RETURN_NONE;
}

static PyObject *convert(PyObject *module, PyObject *arguments) {
    const char *dtype;
    PyObject *target, *origin;
    Py_buffer raw, out, base = {.buf = NULL};
    int width, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sy*OO|i", &dtype, &raw, &origin, &target, &level)) return NULL;
    width = open_array(target, &out, 1);
    if (width && origin != Py_None && !open_array(origin, &base, 0)) base.buf = NULL;
    int wide = !strcmp(dtype, "F32"), half = !strcmp(dtype, "BF16") || !strcmp(dtype, "F16");
    if (!PyErr_Occurred() && ((!wide && !half) || width != (wide ? 8 : 4) || raw.len * 2 != out.len ||
                              (base.buf && (base.len != out.len || base.itemsize != width))))
        PyErr_SetString(PyExc_ValueError, "convert takes BF16 or F16 to float32 and F32 to float64, of one length");
    if (!PyErr_Occurred()) {
        size_t n = (size_t)out.len / (size_t)width;
        Py_BEGIN_ALLOW_THREADS
        if (wide)
            PICK(convert_float32, level)(raw.buf, base.buf, out.buf, n);
        else if (dtype[0] == 'B')
            PICK(convert_bfloat16, level)(raw.buf, base.buf, out.buf, n);
        else
            PICK(convert_float16, level)(raw.buf, base.buf, out.buf, n);
        Py_END_ALLOW_THREADS
    }
    if (base.buf) PyBuffer_Release(&base);
    if (width) PyBuffer_Release(&out);
    PyBuffer_Release(&raw);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *store(PyObject *module, PyObject *arguments) {
    const char *dtype;
    PyObject *object;
    Py_buffer array, out;
    int width, finite = 0, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sOw*|i", &dtype, &object, &out, &level)) return NULL;
    width = open_array(object, &array, 0);
    size_t n = width ? (size_t)array.len / (size_t)width : 0;
    int wide = !strcmp(dtype, "F32"), half = !strcmp(dtype, "BF16") || !strcmp(dtype, "F16");
    if (width && ((!wide && !half) || width != (wide ? 8 : 4) || (size_t)out.len != n * (size_t)width / 2))
        PyErr_SetString(PyExc_ValueError, "store rounds float32 to BF16 or F16 and float64 to F32");
    else if (width) {
        Py_BEGIN_ALLOW_THREADS
        if (wide)
            finite = PICK(round_float32, level)(array.buf, out.buf, n);
        else if (dtype[0] == 'B')
            finite = PICK(round_bfloat16, level)(array.buf, out.buf, n);
        else
            finite = PICK(round_float16, level)(array.buf, out.buf, n);
        Py_END_ALLOW_THREADS
    }
    if (width) PyBuffer_Release(&array);
    PyBuffer_Release(&out);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(finite);
}

static PyObject *agreeing_sum(PyObject *module, PyObject *arguments) {
    PyObject *arrays, *weights;
    Py_buffer views[MOST_INPUTS];
    void *data[MOST_INPUTS];
    double factors[MOST_INPUTS];
    int normalize, opened = 0, width = 0, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!O!p|i", &PyTuple_Type, &arrays, &PyTuple_Type, &weights, &normalize, &level))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(arrays);
    if (count < 1 || count > MOST_INPUTS || PyTuple_GET_SIZE(weights) != count)
        PyErr_SetString(PyExc_ValueError, "agreeing_sum takes 1 to 64 arrays, a weight for each");
    while (!PyErr_Occurred() && opened < count) {
        factors[opened] = PyFloat_AsDouble(PyTuple_GET_ITEM(weights, opened));
        if (PyErr_Occurred() || !(width = open_array(PyTuple_GET_ITEM(arrays, opened), &views[opened], 1))) break;
        data[opened] = views[opened].buf;
        opened++;
        if (views[opened - 1].len != views[0].len || width != views[0].itemsize)
            PyErr_SetString(PyExc_ValueError, "all arrays must have one type and length");
    }
    if (!PyErr_Occurred()) {
        Py_BEGIN_ALLOW_THREADS
        if (width == 4)
            PICK(agree_32, level)((float *const *)data, factors, (int)count, (size_t)views[0].len / 4, normalize);
        else
            PICK(agree_64, level)((double *const *)data, factors, (int)count, (size_t)views[0].len / 8, normalize);
        Py_END_ALLOW_THREADS
    }
    while (opened) PyBuffer_Release(&views[--opened]);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"weighted_sum", weighted_sum, METH_VARARGS,
     "weighted_sum(dtype, buffers, weights, out, base=None, level=2): write the sum; tell whether all of it was finite."},
    {"inner", inner, METH_VARARGS, "inner(first, second, level=2): the inner product in float64."},
    {"add_digits", add_digits, METH_VARARGS,
     "add_digits(counts, array, shift, prefix, level=2): count 16 bits of magnitudes with a prefix."},
    {"matching", matching, METH_VARARGS,
     "matching(out, array, shift, prefix, level=2): write the magnitudes with a prefix; return how many."},
    {"keep", keep, METH_VARARGS,
     "keep(array, comparison, bound, level=2): multiply the other magnitudes by 0, in place; >=, >, <= or <."},
    {"convert", convert, METH_VARARGS,
     "convert(dtype, raw, base, out, level=2): widen finite numbers to twice the width, less a base or None."},
    {"store", store, METH_VARARGS,
     "store(dtype, array, out, level=2): round to half the width; tell whether all of it is finite."},
    {"agreeing_sum", agreeing_sum, METH_VARARGS,
     "agreeing_sum(arrays, weights, normalize, level=2): sign consensus, into the first array."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernels", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModule_Create(&definition); }
