# cmake -D OCLGRIND=... -D TEST=opencl_test -P oclgrind.cmake: runs the test under Oclgrind and fails when
# the test does or when Oclgrind has anything to say, which it says on stderr.
execute_process(
  COMMAND ${OCLGRIND} --data-races --uniform-writes --check-api ${TEST} oclgrind
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE said)
message("${output}")
string(REGEX REPLACE "(^|\n)\\[  (PASSED|FAILED)  \\][^\n]*" "" complaints "${said}")
string(STRIP "${complaints}" complaints)
if(NOT result EQUAL 0 OR NOT complaints STREQUAL "")
  string(SUBSTRING "${said}" 0 4000 said)
  message(FATAL_ERROR "exit status ${result}; on stderr:\n${said}")
endif()
