# cmake -D "FILES=a.cl;b.cl" -D OUTPUT=sources.c -P embed.cmake: the texts of FILES as eg_cl_sources,
# in their order. Bytes rather than string literals, which the standard lets be as short as 4095.
set(arrays "")
set(table "")
foreach(file IN LISTS FILES)
  get_filename_component(stem ${file} NAME_WE)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x..,){20})" "\\1\n    " bytes "${bytes}")
  string(APPEND arrays "static const char ${stem}[] = {\n    ${bytes}0};\n\n")
  string(APPEND table "    {\"${stem}\", ${stem}, sizeof ${stem} - 1},\n")
endforeach()
file(WRITE ${OUTPUT} "/* Made by cmake/embed.cmake from the kernels. */\n"
  "#include \"compute/opencl/opencl.h\"\n\n${arrays}"
  "const eg_cl_source eg_cl_sources[EG_CL_FILES] = {\n${table}};\n")
