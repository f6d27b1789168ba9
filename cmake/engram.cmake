# engram_library(NAME SOURCES a.c b.c USES eg_base ...): one static library per folder of host/.
# USES is what the folder may look up to; the linker tells when it looks elsewhere.
function(engram_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/host)
  target_link_libraries(${name} PUBLIC ${ARG_USES})
endfunction()

# engram_test_library(NAME SOURCES a.c USES eg_base ...): what several tests of a folder share.
function(engram_test_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PUBLIC ${ARG_USES} PkgConfig::CMOCKA)
endfunction()

# engram_test(NAME SOURCES a.c USES eg_base ... [ARGS ...] [LABELS unit]): a cmocka program run by ctest.
function(engram_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;ARGS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_USES} PkgConfig::CMOCKA m)
  target_compile_definitions(${name} PRIVATE ENGRAM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 300)
endfunction()
